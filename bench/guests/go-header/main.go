// A plugin that marks each response with `x-go`, made of a template in its configuration: `{"header": "{{printf `%04d` 1}}"}`.
// Templates and JSON bring as much of Go's library with them as Higress' own plugins have: about 6 MB.
package main

import (
	"bytes"
	"encoding/json"
	"html/template"

	"github.com/higress-group/proxy-wasm-go-sdk/proxywasm"
	"github.com/higress-group/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

func init() {
	proxywasm.SetPluginContext(func(uint32) types.PluginContext { return &plugin{} })
}

type plugin struct {
	types.DefaultPluginContext
	value string
}

func (p *plugin) OnPluginStart(int) types.OnPluginStartStatus {
	configuration, err := proxywasm.GetPluginConfiguration()
	if err == nil {
		p.value, err = render(configuration)
	}
	if err != nil {
		proxywasm.LogErrorf("configuration: %v", err)
		return types.OnPluginStartStatusFailed
	}
	return types.OnPluginStartStatusOK
}

func render(configuration []byte) (string, error) {
	var config struct{ Header string }
	if err := json.Unmarshal(configuration, &config); err != nil {
		return "", err
	}
	parsed, err := template.New("header").Parse(config.Header)
	if err != nil {
		return "", err
	}
	var value bytes.Buffer
	if err := parsed.Execute(&value, nil); err != nil {
		return "", err
	}
	return value.String(), nil
}

func (p *plugin) NewHttpContext(uint32) types.HttpContext {
	return &stream{value: p.value}
}

type stream struct {
	types.DefaultHttpContext
	value string
}

func (s *stream) OnHttpResponseHeaders(int, bool) types.Action {
	if err := proxywasm.ReplaceHttpResponseHeader("x-go", s.value); err != nil {
		proxywasm.LogErrorf("x-go: %v", err)
	}
	return types.ActionContinue
}
