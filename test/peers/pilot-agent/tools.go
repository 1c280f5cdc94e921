//go:build tools

// Package pilotagent names Istio's agent that tests run against, for go.mod to pin.
package pilotagent

import _ "istio.io/istio/pilot/cmd/pilot-agent"
