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

package castore

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/edgesync/edgesync/internal/pki"
)

// secrets is an API server that has just these Secrets, for one client that gets and
// updates them. The usual fake takes a worker of the fuzzer too long to begin with.
type secrets struct {
	client.Client
	data map[string]map[string][]byte
}

func (s secrets) Get(_ context.Context, key client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	secret := obj.(*corev1.Secret)
	secret.Namespace, secret.Name, secret.Data = key.Namespace, key.Name, s.data[key.Name]
	return nil
}

func (s secrets) Update(_ context.Context, obj client.Object, _ ...client.UpdateOption) error {
	s.data[obj.GetName()] = obj.(*corev1.Secret).Data
	return nil
}

// FuzzSecrets has a manager start with whatever is in the Secrets.
func FuzzSecrets(f *testing.F) {
	keyPEM, err := newCA(f).KeyPEM()
	if err != nil {
		f.Fatal(err)
	}
	former, next := newCA(f), newCA(f)
	trust, err := pki.Trust{CA: former}.Succeed(next, nil, now)
	if err != nil {
		f.Fatal(err)
	}
	data, err := encode(trust)
	if err != nil {
		f.Fatal(err)
	}
	crt, key, earlier, cross := data["tls.crt"], data["tls.key"], data["earlier.crt"], data["cross.crt"]
	f.Add(crt, key, crt, key, earlier, cross, []byte("1"))
	f.Add(former.CertificatePEM(), keyPEM, crt, key, earlier, cross, []byte("9223372036854775807"))
	f.Add([]byte("x"), []byte{}, crt, key, []byte{}, []byte{}, []byte("x"))
	f.Fuzz(func(t *testing.T, crt, key, stateCrt, stateKey, earlier, cross, generation []byte) {
		c := secrets{data: map[string]map[string][]byte{
			SecretName: {"tls.crt": crt, "tls.key": key},
			StateName:  {"tls.crt": stateCrt, "tls.key": stateKey, "earlier.crt": earlier, "cross.crt": cross, "generation": generation},
		}}
		loaded, err := newStore(c, now).Load(t.Context())
		if err != nil {
			return
		}
		again, err := newStore(c, now).Load(t.Context())
		if err != nil || !again.Equal(loaded.Trust) {
			t.Fatalf("the next manager has another CA (%v)", err)
		}
	})
}
