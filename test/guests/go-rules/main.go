// A plugin on Higress' Go SDK that tells which of its configurations applies to a request, in the response header
// x-rule.
package main

import (
	"errors"

	"github.com/higress-group/proxy-wasm-go-sdk/proxywasm"
	"github.com/higress-group/proxy-wasm-go-sdk/proxywasm/types"
	"github.com/higress-group/wasm-go/pkg/wrapper"
	"github.com/tidwall/gjson"
)

type settings struct {
	rule string
}

func main() {}

func init() {
	wrapper.SetCtx("go-rules", wrapper.ParseConfig(parse), wrapper.ProcessResponseHeaders(tell))
}

func parse(config gjson.Result, into *settings) error {
	into.rule = config.Get("rule").String()
	if into.rule == "" {
		return errors.New("rule is missing: expected the text that x-rule is to have")
	}
	return nil
}

func tell(_ wrapper.HttpContext, applied settings) types.Action {
	if err := proxywasm.AddHttpResponseHeader("x-rule", applied.rule); err != nil {
		proxywasm.LogCriticalf("x-rule cannot be added: %v", err)
	}
	return types.ActionContinue
}
