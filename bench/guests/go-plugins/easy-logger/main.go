// A plugin on Higress' Go SDK that writes a line for each request: what plugins/easy-logger writes without a configuration.
package main

import (
	"encoding/binary"
	"encoding/json"
	"strconv"

	"github.com/higress-group/proxy-wasm-go-sdk/proxywasm"
	"github.com/higress-group/wasm-go/pkg/wrapper"
	"github.com/tidwall/gjson"
)

func main() {}

func init() {
	wrapper.SetCtx("go-easy-logger",
		wrapper.ParseConfig(func(gjson.Result, *settings) error { return nil }),
		wrapper.ProcessStreamDone(writeLine),
	)
}

type settings struct{}

type line struct {
	Method   string  `json:"method"`
	Path     string  `json:"path"`
	Host     string  `json:"host"`
	Status   int     `json:"status"`
	Duration float64 `json:"duration"`
}

func writeLine(_ wrapper.HttpContext, _ settings) {
	var told line
	told.Method, _ = proxywasm.GetHttpRequestHeader(":method")
	told.Path, _ = proxywasm.GetHttpRequestHeader(":path")
	told.Host, _ = proxywasm.GetHttpRequestHeader(":authority")
	status, _ := proxywasm.GetHttpResponseHeader(":status")
	told.Status, _ = strconv.Atoi(status)
	if nanoseconds, err := proxywasm.GetProperty([]string{"request", "duration"}); err == nil && len(nanoseconds) == 8 {
		told.Duration = float64(binary.LittleEndian.Uint64(nanoseconds)) / 1e6
	}
	if text, err := json.Marshal(told); err == nil {
		proxywasm.LogInfo(string(text))
	}
}
