//go:build tools

// Package istiod names Istio's discovery that tests run against, for go.mod to pin.
package istiod

import _ "istio.io/istio/pilot/cmd/pilot-discovery"
