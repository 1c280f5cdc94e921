//go:build tools

// Package helm names the program that tests of the chart run, for go.mod to pin.
package helm

import _ "helm.sh/helm/v3/cmd/helm"
