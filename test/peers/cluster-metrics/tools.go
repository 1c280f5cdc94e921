//go:build tools

// Package metrics names the program that measures a cluster's Pods, for go.mod to pin.
package metrics

import _ "sigs.k8s.io/metrics-server/cmd/metrics-server"
