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

package hostile

import (
	"bytes"
	"compress/flate"
	"context"
	"io"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/testing/promtext"
)

// What judges the attacks has to be able to say no.

func TestMemoryIsBounded(t *testing.T) {
	g := NewWithT(t)
	const limit = 64 << 20
	g.Expect(memory{quiet: 50 << 20, before: 60 << 20, peak: 124 << 20}.check(limit)).To(Succeed())
	g.Expect(memory{quiet: 50 << 20, before: 60 << 20, peak: 124<<20 + 1}.check(limit)).
		To(MatchError("the memory grew by 64.0 MiB, by more than 64.0 MiB"))
	g.Expect(memory{quiet: 50 << 20, before: 300 << 20, peak: 307 << 20}.check(limit)).
		To(MatchError(ContainSubstring("peak of 307.0 MiB")))
}

func TestLedger(t *testing.T) {
	g := NewWithT(t)
	start := time.Now()
	at := func(n int) time.Time { return start.Add(time.Duration(n) * time.Millisecond) }
	l := newLedger()
	l.accept(at(0))
	l.accept(at(10))
	l.arrive(0, at(1))
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	g.Expect(l.await(cancelled, 2)).To(Equal(1), "update 1 has not arrived")

	awaited := make(chan int, 1)
	go func() { awaited <- l.await(t.Context(), 4) }()
	l.arrive(3, at(30)) // with 1, of which the file was replaced, and before the answers
	l.accept(at(20))
	l.accept(at(31))
	g.Eventually(awaited).WithTimeout(patience).Should(Receive(Equal(4)))
	g.Expect(l.next()).To(Equal(4))
	g.Expect(l.latencies(0, 4)).To(Equal([]time.Duration{0, time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond}))
	g.Expect(l.latencies(3, 4)).To(Equal([]time.Duration{0}), "it was there before the answer")
}

func TestQuantile(t *testing.T) {
	g := NewWithT(t)
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(i+1))
	}
	g.Expect(quantile(hundred, 0.5)).To(BeEquivalentTo(50))
	g.Expect(quantile(hundred, 0.99)).To(BeEquivalentTo(99))
	g.Expect(quantile(hundred[:1], 0.99)).To(BeEquivalentTo(1))
}

func TestOutcomes(t *testing.T) {
	g := NewWithT(t)
	o := newOutcomes()
	o.add("HTTP 401")
	o.add("HTTP 429")
	o.add("HTTP 401")
	g.Expect(o.String()).To(Equal("HTTP 401 ×2, HTTP 429 ×1"))
	g.Expect(o.check([]string{"HTTP 401", "HTTP 429"}, nil)).To(Succeed())
	g.Expect(o.check([]string{"HTTP 401"}, []string{"HTTP 429", "HTTP 503"})).To(Succeed())
	g.Expect(o.check([]string{"HTTP 401"}, nil)).To(MatchError(ContainSubstring("HTTP 429")))
	g.Expect(o.check([]string{"HTTP 401", "HTTP 429", "close 1009"}, nil)).To(MatchError(ContainSubstring("close 1009")))
}

func TestLostClose(t *testing.T) {
	g := NewWithT(t)
	o := newOutcomes()
	o.add("Hello: connection closed")
	g.Expect(o.check([]string{"Hello: close 4003"}, nil)).To(Succeed())
	g.Expect(o.check([]string{"close 4003"}, nil)).NotTo(Succeed())
	g.Expect(o.check([]string{"Hello: HTTP 408"}, nil)).NotTo(Succeed())
}

func TestUnmoved(t *testing.T) {
	g := NewWithT(t)
	before := promtext.Series{`refused{cause="401"}`: 1, "other": 1}
	after := promtext.Series{`refused{cause="401"}`: 2, "other": 1, `refused{cause="new"}`: 1}
	g.Expect(unmoved(before, after, []string{`refused{cause="401"}`, `refused{cause="new"}`})).To(BeEmpty())
	g.Expect(unmoved(before, after, []string{"other", "missing"})).To(Equal([]string{"other", "missing"}))
}

func TestWrites(t *testing.T) {
	g := NewWithT(t)
	g.Expect(writesOf(promtext.Series{
		`rest_client_requests_total{code="200",host="x",method="GET"}`:   5,
		`rest_client_requests_total{code="200",host="x",method="PATCH"}`: 2,
		`rest_client_requests_total{code="409",host="x",method="POST"}`:  1,
		`other_total{method="PATCH"}`:                                    9,
	})).To(Equal(3))
	g.Expect(maxWrites(1500 * time.Millisecond)).To(Equal(45))
}

func TestTable(t *testing.T) {
	g := NewWithT(t)
	text := format([]row{{
		attack: "garbage", outcome: "close 4003 ×9", refusedAs: "protocol",
		memory: memory{before: 1 << 20, peak: 3 << 19}, writes: 4, updates: 7, p50: 1500 * time.Microsecond, p99: 2 * time.Second,
	}})
	g.Expect(text).To(MatchRegexp(`(?m)^\| attack +\| what the attacker gets +\|`))
	g.Expect(text).To(MatchRegexp(`(?m)^\| garbage +\| close 4003 ×9 +\| protocol +\| 1\.5 MiB +\| 0\.5 MiB +\| 4 +\| 7 +\| 1\.5 ms +\| 2000\.0 ms +\|$`))
}

func TestCauses(t *testing.T) {
	g := NewWithT(t)
	g.Expect(causes(nil)).To(Equal("–"))
	g.Expect(causes([]string{refused("protocol"), notJoined("token_used"), notRenewed("malformed")})).
		To(Equal("hub protocol, join token_used, renew malformed"))
}

func TestDeflated(t *testing.T) {
	g := NewWithT(t)
	unpacked, err := io.Copy(io.Discard, flate.NewReader(bytes.NewReader(deflated(g, 5))))
	g.Expect(err).To(MatchError(io.ErrUnexpectedEOF), "it has no end")
	g.Expect(unpacked).To(BeEquivalentTo(5 << 20))
}
