// A plugin on Higress' Go SDK that lets requests pass which carry a consumer's key in a header.
// Configuration: {"keys": [...], "consumers": [{"name", "credential"}]}.
package main

import (
	"errors"

	"github.com/higress-group/proxy-wasm-go-sdk/proxywasm"
	"github.com/higress-group/proxy-wasm-go-sdk/proxywasm/types"
	"github.com/higress-group/wasm-go/pkg/wrapper"
	"github.com/tidwall/gjson"
)

func main() {}

func init() {
	wrapper.SetCtx("go-key-auth", wrapper.ParseConfig(parse), wrapper.ProcessRequestHeaders(check))
}

type settings struct {
	keys      []string
	consumers map[string]string
}

func parse(config gjson.Result, into *settings) error {
	for _, key := range config.Get("keys").Array() {
		into.keys = append(into.keys, key.String())
	}
	into.consumers = make(map[string]string)
	for _, consumer := range config.Get("consumers").Array() {
		into.consumers[consumer.Get("credential").String()] = consumer.Get("name").String()
	}
	if len(into.keys) == 0 || len(into.consumers) == 0 {
		return errors.New("keys and consumers are required")
	}
	return nil
}

func check(_ wrapper.HttpContext, applied settings) types.Action {
	var tokens []string
	for _, key := range applied.keys {
		if value, err := proxywasm.GetHttpRequestHeader(key); err == nil && value != "" {
			tokens = append(tokens, value)
		}
	}
	if len(tokens) != 1 {
		return deny(401, "one key is required")
	}
	consumer, known := applied.consumers[tokens[0]]
	if !known {
		return deny(403, "unknown consumer")
	}
	if err := proxywasm.AddHttpRequestHeader("x-mse-consumer", consumer); err != nil {
		proxywasm.LogErrorf("x-mse-consumer cannot be added: %v", err)
	}
	return types.ActionContinue
}

func deny(status uint32, reason string) types.Action {
	headers := [][2]string{{"www-authenticate", "Key realm=bench"}}
	if err := proxywasm.SendHttpResponseWithDetail(status, "key-auth.denied", headers, []byte(reason), -1); err != nil {
		proxywasm.LogErrorf("a request cannot be denied: %v", err)
	}
	return types.ActionPause
}
