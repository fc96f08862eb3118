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

package command

import (
	"context"
	"net/http"
	"regexp"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/testing/promtext"
)

// lockedLog is a log that can be read while it is written.
type lockedLog struct {
	mu   sync.Mutex
	text []byte
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	return len(p), nil
}

// metricsURL is where the log says that metrics are served; empty if it does not yet.
func (l *lockedLog) metricsURL() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := regexp.MustCompile(`msg="Serving metrics" address=(\S+)`).FindSubmatch(l.text)
	if found == nil {
		return ""
	}
	return "http://" + string(found[1])
}

func TestMetricsSayWhereTheAgentStands(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h, m := newHub(t), newMachine(t)
	m.join(h)
	var log lockedLog
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := m.execute(ctx, &log, "run", "--target", "directory="+m.objects, "--metrics-bind-address", "127.0.0.1:0", "--pprof")
		ended <- err
	}()
	defer func() {
		cancel()
		g.Expect(<-ended).To(Succeed())
	}()
	s, _ := h.greet()
	broken := put(2, configMap(t, "broken"))
	broken.GetPut().Payload = []byte("?")
	knowing := bookmark()
	knowing.GetBookmark().Nacks = 1
	s.send(put(1, configMap(t, "a")), broken, knowing)
	s.results(1)
	g.Eventually(log.metricsURL, patience).ShouldNot(BeEmpty())
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	scrape := func() map[string]float64 {
		series, err := promtext.Scrape(t.Context(), client, log.metricsURL()+"/metrics")
		g.Expect(err).NotTo(HaveOccurred())
		return series
	}
	g.Eventually(scrape, patience).Should(HaveKeyWithValue("edgesync_agent_connected", 1.0))
	g.Eventually(scrape, patience).Should(HaveKeyWithValue("edgesync_agent_last_sync_timestamp_seconds",
		BeNumerically(">", time.Now().Add(-time.Hour).Unix())))
	g.Expect(scrape()).To(And(
		HaveKeyWithValue(`edgesync_agent_objects{state="applied"}`, 1.0),
		HaveKeyWithValue(`edgesync_agent_objects{state="progressing"}`, 0.0),
		HaveKeyWithValue(`edgesync_agent_nacks_total{code="reject"}`, 1.0),
		HaveKeyWithValue("edgesync_agent_sessions_total", 1.0),
		HaveKeyWithValue("edgesync_agent_received_bytes_total", BeNumerically(">", 1000)),
		HaveKeyWithValue("edgesync_agent_sent_bytes_total", BeNumerically(">", 500)),
		HaveKeyWithValue("edgesync_agent_store_bytes", BeNumerically(">", 1000)),
		HaveKeyWithValue("edgesync_agent_commit_duration_seconds_count", BeNumerically(">", 1)),
		HaveKeyWithValue(`edgesync_agent_apply_duration_seconds_count{result="changed",target="directory"}`, BeNumerically(">=", 1)),
		HaveKeyWithValue("edgesync_agent_certificate_expiration_timestamp_seconds", BeNumerically(">", time.Now().Unix()))))

	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, log.metricsURL()+"/debug/pprof/goroutine?debug=1", nil)
	g.Expect(err).NotTo(HaveOccurred())
	answer, err := client.Do(request)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(answer.Body.Close()).To(Succeed())
	g.Expect(answer.StatusCode).To(Equal(http.StatusOK))
}
