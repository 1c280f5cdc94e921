// A plugin on Higress' Go SDK that does, as the query of a request says, one of the things that the SDK can do.
package main

import (
	"fmt"
	"strings"

	"github.com/higress-group/proxy-wasm-go-sdk/proxywasm"
	"github.com/higress-group/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

func init() {
	proxywasm.SetVMContext(&vm{})
}

type vm struct{ types.DefaultVMContext }

func (*vm) NewPluginContext(uint32) types.PluginContext { return &plugin{} }

type plugin struct {
	types.DefaultPluginContext
	label    string
	requests proxywasm.MetricCounter
	level    proxywasm.MetricGauge
	sizes    proxywasm.MetricHistogram
}

func (p *plugin) OnPluginStart(size int) types.OnPluginStartStatus {
	config, err := proxywasm.GetPluginConfiguration()
	proxywasm.LogInfof("start %d %q %v", size, config, err)
	p.label = string(config)
	if p.label == "refuse" {
		return types.OnPluginStartStatusFailed
	}
	p.requests = proxywasm.DefineCounterMetric("go_requests_" + p.label)
	p.level = proxywasm.DefineGaugeMetric("go_level_" + p.label)
	p.sizes = proxywasm.DefineHistogramMetric("go_sizes_" + p.label)
	return types.OnPluginStartStatusOK
}

func (p *plugin) NewHttpContext(uint32) types.HttpContext { return &stream{plugin: p} }

type stream struct {
	types.DefaultHttpContext
	plugin *plugin
	path   string
}

func (s *stream) OnHttpRequestHeaders(count int, end bool) types.Action {
	path, err := proxywasm.GetHttpRequestHeader(":path")
	s.path = path
	proxywasm.LogInfof("request headers %d %t %q %v", count, end, path, err)
	switch {
	case strings.Contains(path, "map"):
		return s.rewriteMap()
	case strings.Contains(path, "answer"):
		err := proxywasm.SendHttpResponseWithDetail(418, "go.teapot", [][2]string{{"x-go", "1"}}, []byte("from go"), -1)
		proxywasm.LogInfof("answer %v", err)
		return types.ActionPause
	case strings.Contains(path, "call"):
		return s.call()
	case strings.Contains(path, "data"):
		s.shareData()
	}
	report("add", proxywasm.AddHttpRequestHeader("x-go", s.plugin.label))
	report("replace", proxywasm.ReplaceHttpRequestHeader("x-one", "only"))
	report("remove", proxywasm.RemoveHttpRequestHeader("x-gone"))
	_, err = proxywasm.GetHttpRequestHeader("x-none")
	report("none", err)
	s.plugin.requests.Increment(1)
	s.plugin.level.Add(3)
	s.plugin.sizes.Record(uint64(count))
	proxywasm.LogWarnf("counter %d gauge %d", s.plugin.requests.Value(), s.plugin.level.Value())
	return types.ActionContinue
}

func report(what string, err error) {
	proxywasm.LogDebugf("%s: %v", what, err)
}

func (s *stream) rewriteMap() types.Action {
	headers, err := proxywasm.GetHttpRequestHeaders()
	proxywasm.LogInfof("map %v %v", headers, err)
	report("set map", proxywasm.ReplaceHttpRequestHeaders(append(headers, [2]string{"x-last", "1"})))
	return types.ActionContinue
}

func (s *stream) call() types.Action {
	headers := [][2]string{{":method", "GET"}, {":path", "/go"}, {":authority", "auth"}, {"x-a", "b"}}
	_, err := proxywasm.DispatchHttpCall("auth", headers, []byte("ask"), nil, 5000, s.answered)
	if err != nil {
		proxywasm.LogErrorf("call: %v", err)
		return types.ActionContinue
	}
	return types.ActionPause
}

func (s *stream) answered(headers, size, trailers int) {
	lines, err := proxywasm.GetHttpCallResponseHeaders()
	status := ""
	for _, line := range lines {
		if line[0] == ":status" {
			status = line[1]
		}
	}
	body, bodyErr := proxywasm.GetHttpCallResponseBody(0, size)
	proxywasm.LogInfof("answered %q %q %d %v %v", status, body, trailers, err, bodyErr)
	report("add", proxywasm.AddHttpRequestHeader("x-answer", string(body)))
	report("resume", proxywasm.ResumeHttpRequest())
}

func (s *stream) shareData() {
	key := "key-" + s.plugin.label
	_, _, err := proxywasm.GetSharedData(key)
	proxywasm.LogInfof("data before %v", err)
	report("set", proxywasm.SetSharedData(key, []byte("one"), 0))
	value, cas, err := proxywasm.GetSharedData(key)
	proxywasm.LogInfof("data %q %v", value, err)
	report("set by version", proxywasm.SetSharedData(key, []byte("two"), cas))
	report("set by an old version", proxywasm.SetSharedData(key, []byte("three"), cas))
	for _, path := range [][]string{{"request", "path"}, {"plugin_root_id"}, {"none"}} {
		value, err := proxywasm.GetProperty(path)
		proxywasm.LogInfof("property %v %q %v", path, value, err)
	}
	report("set property", proxywasm.SetProperty([]string{"mine"}, []byte("value")))
	value, err = proxywasm.GetProperty([]string{"mine"})
	proxywasm.LogInfof("mine %q %v", value, err)
	value, err = proxywasm.CallForeignFunction("nothing", []byte("x"))
	proxywasm.LogInfof("foreign %q %v", value, err)
}

func (s *stream) OnHttpRequestBody(size int, end bool) types.Action {
	if strings.Contains(s.path, "whole") && !end {
		return types.ActionPause
	}
	body, err := proxywasm.GetHttpRequestBody(0, size)
	proxywasm.LogInfof("request body %d %t %q %v", size, end, body, err)
	if strings.Contains(s.path, "whole") {
		report("body", proxywasm.ReplaceHttpRequestBody([]byte(strings.ToUpper(string(body)))))
	} else if end {
		report("prepend", proxywasm.PrependHttpRequestBody([]byte(">")))
		report("append", proxywasm.AppendHttpRequestBody([]byte("<")))
	}
	return types.ActionContinue
}

func (s *stream) OnHttpRequestTrailers(count int) types.Action {
	trailers, err := proxywasm.GetHttpRequestTrailers()
	proxywasm.LogInfof("request trailers %d %v %v", count, trailers, err)
	report("trailer", proxywasm.AddHttpRequestTrailer("x-go", "1"))
	return types.ActionContinue
}

func (s *stream) OnHttpResponseHeaders(count int, end bool) types.Action {
	status, err := proxywasm.GetHttpResponseHeader(":status")
	proxywasm.LogInfof("response headers %d %t %q %v", count, end, status, err)
	_, err = proxywasm.GetHttpRequestHeader(":path")
	report("request header in the response", err)
	report("add", proxywasm.AddHttpResponseHeader("x-go-response", fmt.Sprint(count)))
	return types.ActionContinue
}

func (s *stream) OnHttpResponseBody(size int, end bool) types.Action {
	body, err := proxywasm.GetHttpResponseBody(0, size)
	proxywasm.LogInfof("response body %d %t %q %v", size, end, body, err)
	return types.ActionContinue
}

func (s *stream) OnHttpStreamDone() {
	path, err := proxywasm.GetHttpRequestHeader(":path")
	proxywasm.LogInfof("done %q %v", path, err)
}
