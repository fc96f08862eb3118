/*
Copyright 2026 The edgesync Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package main

import (
	"testing"

	. "github.com/onsi/gomega"
	"github.com/spf13/pflag"
)

func TestOptions(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		flags []string
		fails string
	}{
		"the defaults":              {},
		"what is allowed":           {[]string{"--hub-heartbeat=1s", "--hub-max-nodes=1", "--hub-max-pending-connections=1", "--node-certificate-renewal-grace=0"}, ""},
		"no namespace":              {[]string{"--namespace="}, "--namespace"},
		"no name":                   {[]string{"--replica-name="}, "--replica-name"},
		"a name for no Lease":       {[]string{"--replica-name=Not_a_DNS_name"}, "--replica-name"},
		"hardly a byte a second":    {[]string{"--node-bytes-per-second=1023"}, "--node-bytes-per-second"},
		"a slow link":               {[]string{"--node-bytes-per-second=1024"}, ""},
		"no heartbeat":              {[]string{"--hub-heartbeat=0"}, "--hub-heartbeat"},
		"hardly a heartbeat":        {[]string{"--hub-heartbeat=6m"}, "--hub-heartbeat"},
		"no nodes":                  {[]string{"--hub-max-nodes=0"}, "--hub-max-nodes"},
		"no pending connections":    {[]string{"--hub-max-pending-connections=0"}, "--hub-max-pending-connections"},
		"certificates without life": {[]string{"--node-certificate-lifetime=0"}, "--node-certificate-lifetime"},
		"less than no grace":        {[]string{"--node-certificate-renewal-grace=-1s"}, "--node-certificate-renewal-grace"},
		"an address by other names": {[]string{"--hub-addresses=https://hub.example.com"}, "add it to --hub-public-names"},
		"an address by its name":    {[]string{"--hub-addresses=https://hub.example.com", "--hub-public-names=hub.example.com"}, ""},
		"what is no address":        {[]string{"--hub-addresses=ftp://localhost"}, "--hub-addresses"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			o := defaultOptions()
			flags := pflag.NewFlagSet(name, pflag.ContinueOnError)
			o.bind(flags)
			g.Expect(flags.Parse(test.flags)).To(Succeed())
			if test.fails == "" {
				g.Expect(o.validate()).To(Succeed())
			} else {
				g.Expect(o.validate()).To(MatchError(ContainSubstring(test.fails)))
			}
		})
	}
}
