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

package link

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

func TestCheckPayload(t *testing.T) {
	t.Parallel()
	const roomy = 1 << 20
	for name, test := range map[string]struct {
		change func(*pb.Put)
		most   int
		want   string
	}{
		"as announced":         {func(*pb.Put) {}, roomy, ""},
		"too large":            {func(*pb.Put) {}, 10, "--max-object-bytes"},
		"not JSON":             {func(p *pb.Put) { p.Payload = []byte("{") }, roomy, "not the JSON of an object"},
		"empty":                {func(p *pb.Put) { p.Payload = nil }, roomy, "not the JSON of an object"},
		"a list":               {func(p *pb.Put) { p.Payload = []byte("[]") }, roomy, "not the JSON of an object"},
		"something after it":   {func(p *pb.Put) { p.Payload = append(p.Payload, '{') }, roomy, "not the JSON of an object"},
		"another name":         {func(p *pb.Put) { p.Key.Name = "b" }, roomy, "announced as ConfigMap/shop/b"},
		"another namespace":    {func(p *pb.Put) { p.Key.Namespace = "" }, roomy, "announced as ConfigMap/a"},
		"another kind":         {func(p *pb.Put) { p.Key.Kind = "Secret" }, roomy, "announced as Secret"},
		"another group":        {func(p *pb.Put) { p.Key.Group = "apps" }, roomy, "announced as apps/"},
		"another version":      {func(p *pb.Put) { p.ApiVersion = "v2" }, roomy, `announced with "v2"`},
		"a bad apiVersion":     {func(p *pb.Put) { p.Payload = []byte(`{"apiVersion":"a/b/c"}`) }, roomy, "a/b/c"},
		"no uid":               {func(p *pb.Put) { p.Uid = "" }, roomy, "without uid"},
		"the wrong field case": {func(p *pb.Put) { p.Payload = []byte(`{"apiVersion":"v1","Kind":"ConfigMap"}`) }, roomy, "announced"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			message := put(1, configMap("a", "1")).GetPut()
			test.change(message)
			err := checkPayload(message, test.most)
			if test.want == "" {
				g.Expect(err).NotTo(HaveOccurred())
			} else {
				g.Expect(err).To(MatchError(ContainSubstring(test.want)))
			}
		})
	}
}

// FuzzCheckPayload checks that whatever passes is about the object that it was
// announced as, and that nothing panics.
func FuzzCheckPayload(f *testing.F) {
	f.Add(configMap("a", "1").Payload)
	f.Add([]byte(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a","namespace":"shop"}}`))
	f.Add([]byte(`{"apiVersion":"v1","kind":"ConfigMap","kind":"Secret","metadata":{"name":"a","namespace":"shop"}}`))
	f.Add([]byte(`{"metadata":null}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		message := put(1, configMap("a", "1")).GetPut()
		message.Payload = payload
		if checkPayload(message, protocol.MaxObjectBytes) != nil {
			return
		}
		found, err := identify(payload)
		if err != nil || found.key != configMap("a", "1").Key || found.apiVersion != "v1" {
			t.Fatalf("accepted %q", payload)
		}
	})
}
