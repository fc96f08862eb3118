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

package query

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/transport"

	"github.com/edgesync/edgesync/internal/pki"
)

const (
	dialTimeout = 5 * time.Second
	// forwardTimeout is how long the other replica may take to begin its answer.
	forwardTimeout = 20 * time.Second
)

// forward has another replica answer the request, as it is, for the user. What comes back
// may be anything that HTTP can carry, an upgraded connection included.
func (s *Server) forward(w http.ResponseWriter, r *http.Request, who user.Info, replica, address string) {
	other := s.transportTo(replica)
	defer other.CloseIdleConnections()
	proxy := httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(&url.URL{Scheme: "https", Host: address})
			transport.SetAuthProxyHeaders(p.Out, who.GetName(), who.GetUID(), who.GetGroups(), who.GetExtra())
		},
		Transport: other,
		ErrorLog:  nil,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			s.options.Log.Info("Cannot forward a query", "replica", replica, "address", address, "reason", err.Error())
			fail(w, apierrors.NewServiceUnavailable(fmt.Sprintf("the replica %s, which has the session, cannot be reached: %v", replica, err)))
		},
	}
	proxy.ServeHTTP(w, r)
}

// transportTo reaches one replica. An address may have been given to another program since:
// who answers must prove to be that replica.
func (s *Server) transportTo(replica string) *http.Transport {
	authority := s.options.Authority
	return &http.Transport{
		DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig: &tls.Config{
			MinVersion:           tls.VersionTLS13,
			RootCAs:              authority.Pool(time.Now()),
			ServerName:           s.options.Host,
			GetClientCertificate: s.options.Certificate.GetClientCertificate,
			VerifyConnection: func(state tls.ConnectionState) error {
				name, err := pki.ReplicaOf(state.PeerCertificates[0])
				if err == nil && name != replica {
					err = fmt.Errorf("the replica %s is there instead", name)
				}
				return err
			},
		},
		TLSHandshakeTimeout:    dialTimeout,
		ResponseHeaderTimeout:  forwardTimeout,
		MaxResponseHeaderBytes: 32 << 10,
		DisableCompression:     true,
	}
}
