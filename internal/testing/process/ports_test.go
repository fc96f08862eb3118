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

package process

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

func TestPortsStayTheSame(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	file := filepath.Join(t.TempDir(), "ports.json")
	choose := func(wanted map[string]int) *Ports {
		p, err := ChoosePorts(file, wanted)
		g.Expect(err).NotTo(HaveOccurred())
		return p
	}
	first := choose(map[string]int{"a": 0, "b": 1234})
	g.Expect(first.Get("a")).To(BeNumerically(">=", firstFreePort))
	g.Expect(first.Address("b")).To(Equal("127.0.0.1:1234"))
	g.Expect(first.reserve(first.Get("a"))).To(BeFalse(), "nobody else gets it")
	g.Expect(first.Release()).To(Succeed())

	second := choose(map[string]int{"a": 0, "b": 0, "c": 0})
	g.Expect(second.Get("a")).To(Equal(first.Get("a")))
	g.Expect(second.Get("b")).To(Equal(1234), "what was wanted before")
	g.Expect(second.Get("c")).NotTo(Or(BeZero(), Equal(second.Get("a"))))
	g.Expect(second.Release()).To(Succeed())

	third := choose(map[string]int{"a": 4321})
	g.Expect(third.Get("a")).To(Equal(4321))
	g.Expect(third.Get("b")).To(Equal(1234))
	g.Expect(third.Release()).To(Succeed())

	g.Expect(os.WriteFile(file, []byte("{"), 0o600)).To(Succeed())
	_, err := ChoosePorts(file, nil)
	g.Expect(err).To(MatchError(ContainSubstring(file)))
}

func TestFreePortsAreNotListenedOn(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	var p Ports
	port, err := p.reserveFreePort()
	g.Expect(err).NotTo(HaveOccurred())
	l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", Host, port))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(checkPort(port)).NotTo(Succeed())
	l.Close()
	g.Expect(checkPort(port)).To(Succeed())
	g.Expect(p.Release()).To(Succeed())
}

func TestReadTail(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ content, tail string }{
		{"", ""},
		{"one\n", "one\n"},
		{"one\ntwo\nthree\n", "three\n"},
		{strings.Repeat("x", 20), strings.Repeat("x", 10)},
	} {
		g := NewWithT(t)
		path := filepath.Join(t.TempDir(), "log")
		g.Expect(os.WriteFile(path, []byte(c.content), 0o600)).To(Succeed())
		tail, err := readTail(path, 10)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(string(tail)).To(Equal(c.tail))
	}
}
