// __NAME__ sets the header x-greeting of requests and responses.
package main

import (
	"encoding/json"

	"github.com/higress-group/proxy-wasm-go-sdk/proxywasm"
	"github.com/higress-group/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

func init() {
	proxywasm.SetVMContext(&vm{})
}

type vm struct{ types.DefaultVMContext }

func (*vm) NewPluginContext(uint32) types.PluginContext { return &plugin{} }

// config is what the plugin is told: what is said to everybody who comes by.
type config struct {
	Greeting string `json:"greeting"`
}

type plugin struct {
	types.DefaultPluginContext
	config config
}

func (p *plugin) OnPluginStart(size int) types.OnPluginStartStatus {
	p.config = config{Greeting: "hello"}
	if size == 0 {
		return types.OnPluginStartStatusOK
	}
	data, err := proxywasm.GetPluginConfiguration()
	if err == nil {
		err = json.Unmarshal(data, &p.config)
	}
	if err != nil {
		proxywasm.LogErrorf("configuration: %v", err)
		return types.OnPluginStartStatusFailed
	}
	return types.OnPluginStartStatusOK
}

func (p *plugin) NewHttpContext(uint32) types.HttpContext { return &greeter{config: p.config} }

// greeter is one request.
type greeter struct {
	types.DefaultHttpContext
	config config
}

func (g *greeter) OnHttpRequestHeaders(int, bool) types.Action {
	if err := proxywasm.ReplaceHttpRequestHeader("x-greeting", g.config.Greeting); err != nil {
		proxywasm.LogErrorf("request header: %v", err)
	}
	return types.ActionContinue
}

func (g *greeter) OnHttpResponseHeaders(int, bool) types.Action {
	if err := proxywasm.ReplaceHttpResponseHeader("x-greeting", g.config.Greeting); err != nil {
		proxywasm.LogErrorf("response header: %v", err)
	}
	return types.ActionContinue
}
