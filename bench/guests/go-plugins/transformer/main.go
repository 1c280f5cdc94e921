// A plugin on Higress' Go SDK that changes request headers by rules, the way plugins there do: it reads the whole map, works on
// a table of it, and writes the whole map back. Configuration: {"reqRules": [{"operate": "replace", "headers": [{"key", "newValue"}]}]}.
package main

import (
	"fmt"
	"sort"
	"strings"

	"github.com/higress-group/proxy-wasm-go-sdk/proxywasm"
	"github.com/higress-group/proxy-wasm-go-sdk/proxywasm/types"
	"github.com/higress-group/wasm-go/pkg/wrapper"
	"github.com/tidwall/gjson"
)

func main() {}

func init() {
	wrapper.SetCtx("go-transformer", wrapper.ParseConfig(parse), wrapper.ProcessRequestHeaders(change))
}

type operation func(table map[string][]string)

type settings struct {
	operations []operation
}

func parse(config gjson.Result, into *settings) error {
	for _, rule := range config.Get("reqRules").Array() {
		operate := rule.Get("operate").String()
		for _, header := range rule.Get("headers").Array() {
			made, err := newOperation(operate, header)
			if err != nil {
				return err
			}
			into.operations = append(into.operations, made)
		}
	}
	return nil
}

func newOperation(operate string, header gjson.Result) (operation, error) {
	key := strings.ToLower(header.Get("key").String())
	switch operate {
	case "remove":
		return func(table map[string][]string) { delete(table, key) }, nil
	case "replace":
		value := header.Get("newValue").String()
		return func(table map[string][]string) { table[key] = []string{value} }, nil
	case "append":
		value := header.Get("appendValue").String()
		return func(table map[string][]string) { table[key] = append(table[key], value) }, nil
	}
	return nil, fmt.Errorf("operate is %q: expected remove, replace or append", operate)
}

func change(_ wrapper.HttpContext, applied settings) types.Action {
	pairs, err := proxywasm.GetHttpRequestHeaders()
	if err != nil {
		proxywasm.LogErrorf("request headers cannot be read: %v", err)
		return types.ActionContinue
	}
	table := make(map[string][]string)
	for _, pair := range pairs {
		name := strings.ToLower(pair[0])
		table[name] = append(table[name], pair[1])
	}
	for _, apply := range applied.operations {
		apply(table)
	}
	if err := proxywasm.ReplaceHttpRequestHeaders(sorted(table)); err != nil {
		proxywasm.LogErrorf("request headers cannot be written: %v", err)
	}
	return types.ActionContinue
}

func sorted(table map[string][]string) [][2]string {
	var pairs [][2]string
	for name, values := range table {
		for _, value := range values {
			pairs = append(pairs, [2]string{name, value})
		}
	}
	sort.SliceStable(pairs, func(a, b int) bool { return pairs[a][0] < pairs[b][0] })
	return pairs
}
