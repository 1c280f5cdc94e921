// A plugin on Higress' Go SDK that keeps the headers of requests and responses as properties, as JSON for the access log. It takes
// no configuration.
package main

import (
	"encoding/json"

	"github.com/higress-group/proxy-wasm-go-sdk/proxywasm"
	"github.com/higress-group/proxy-wasm-go-sdk/proxywasm/types"
	"github.com/higress-group/wasm-go/pkg/log"
	"github.com/higress-group/wasm-go/pkg/wrapper"
	"github.com/tidwall/gjson"
)

func main() {}

func init() {
	wrapper.SetCtx("go-logger",
		wrapper.ParseConfig(func(gjson.Result, *settings) error { return nil }),
		wrapper.ProcessRequestHeaders(keepRequest),
		wrapper.ProcessResponseHeaders(keepResponse),
	)
}

type settings struct{}

func keepRequest(ctx wrapper.HttpContext, _ settings) types.Action {
	ctx.DontReadRequestBody()
	pairs, err := proxywasm.GetHttpRequestHeaders()
	keep("log-request-headers", pairs, err)
	return types.ActionContinue
}

func keepResponse(ctx wrapper.HttpContext, _ settings) types.Action {
	ctx.DontReadResponseBody()
	pairs, err := proxywasm.GetHttpResponseHeaders()
	keep("log-response-headers", pairs, err)
	return types.ActionContinue
}

func keep(property string, pairs [][2]string, err error) {
	if err != nil {
		log.Errorf("%s: headers cannot be read: %v", property, err)
		return
	}
	lines := make(map[string]string, len(pairs))
	for _, pair := range pairs {
		lines[pair[0]] = pair[1]
	}
	text, err := json.Marshal(lines)
	if err == nil {
		err = proxywasm.SetProperty([]string{property}, text)
	}
	if err != nil {
		log.Errorf("%s: %v", property, err)
	}
}
