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
	"context"
	"fmt"
	"net/http"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/testing/agentsim"
)

func stolenCertificates() []attack {
	gets := []string{"close 4002", "HTTP 403", "renewal: HTTP 403"}
	counted := []string{refused("admission"), notRenewed("not_admitted")}
	return []attack{
		{name: "stolen certificate, the node is revoked", run: stolen(revoke), gets: gets, counted: counted},
		{name: "stolen certificate, the EdgeNode is deleted", run: stolen(remove), gets: gets, counted: counted},
		{name: "stolen certificate, the name is joined again after that", run: inherited(joinAgain), gets: gets, counted: counted},
		{name: "stolen certificate, another machine has rejoined", run: inherited(rejoin), gets: gets, counted: counted},
	}
}

// stolen is the attack of a thief whose session lasts until stop, and who does not give up.
func stolen(stop func(s *siege, name string)) func(*siege) {
	return func(s *siege) { s.outlive(stop, func() {}) }
}

// inherited is the same while another machine takes the place of the thief, with this
// request: that ends the session of the thief, before the other connects.
func inherited(request func(s *siege, name string) joining) func(*siege) {
	return func(s *siege) {
		var heir identity
		s.outlive(func(s *siege, name string) { heir = s.enlistAs(request(s, name)) }, func() { s.own(heir) })
	}
}

// outlive goes on after the session has been stopped. next happens when it is over.
func (s *siege) outlive(stop func(*siege, string), next func()) {
	as := s.enlist().at(s.elsewhere())
	l := s.begin(as)
	s.start()
	stop(s, as.name)
	s.add(l.end())
	next()
	s.add("renewal: " + s.renew(as))
	for i := 0; s.goOn(i, 1); i++ {
		s.add(s.try(as))
	}
}

// renew asks for the next certificate, and returns how that ends.
func (s *siege) renew(as caller) string {
	return s.ask(joinapi.RenewPath, as, joinapi.RenewRequest{CSR: s.newJoin(s.g, "").CSR})
}

func revoke(s *siege, name string) {
	node := &syncv1alpha1.EdgeNode{ObjectMeta: metav1.ObjectMeta{Name: name}}
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"revoked":true}}`))
	s.g.Expect(s.client.Patch(s.t.Context(), node, patch)).To(Succeed())
}

func remove(s *siege, name string) {
	node := &syncv1alpha1.EdgeNode{ObjectMeta: metav1.ObjectMeta{Name: name}}
	s.g.Expect(s.client.Delete(s.t.Context(), node)).To(Succeed())
}

func joinAgain(s *siege, name string) joining {
	remove(s, name)
	return s.newJoin(s.g, name)
}

func rejoin(s *siege, name string) joining {
	request := s.newJoin(s.g, name)
	request.Token = s.newToken(s.g, "--node="+name, "--rejoin")
	return request
}

// own keeps a session of the rightful owner until the end of the attack, and then checks
// that it has lasted.
func (s *siege) own(owner identity) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- agentsim.Run(ctx, agentsim.Config{Hub: s.fleet.HubAddress(), TLS: s.tlsConfig(owner.at(home).certificates)})
	}()
	s.g.Eventually(func() (*syncv1alpha1.EdgeNodeSession, error) {
		node, err := s.edgeNode(owner.name)
		return node.Status.Session, err
	}).WithTimeout(patience).ShouldNot(BeNil())
	s.atEnd = append(s.atEnd, func() {
		cancel()
		s.g.Expect(<-ended).To(Succeed(), "the session of the rightful owner")
	})
}

// ask posts a request and returns the status.
func (s *siege) ask(path string, as caller, request any) string {
	response, err := s.postJSON(path, as, request)
	if err != nil {
		return describe(err)
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusTooManyRequests && response.Header.Get("Retry-After") == "" {
		return "HTTP 429 without Retry-After"
	}
	return fmt.Sprintf("HTTP %d", response.StatusCode)
}
