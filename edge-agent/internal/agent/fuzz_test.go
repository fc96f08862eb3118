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

package agent

import (
	"testing"
)

// Whatever listens on the socket, asking it ends with a status or an error.
func FuzzAsk(f *testing.F) {
	f.Add([]byte(`{"status":{"node":"edge-1","running":true,"objects":{"held":3}}}`))
	f.Add([]byte(`{"error":"the store is damaged"}`))
	f.Add([]byte(`{"status":{"certificateExpires":"tomorrow","objects":[]}}{}`))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, said []byte) {
		dir := t.TempDir()
		listener, err := listen(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		go func() {
			if conn, err := listener.Accept(); err == nil {
				_, _ = conn.Write(said)
				_ = conn.Close()
			}
		}()
		if status, err := ask(t.Context(), dir); err != nil && status.Node != "" {
			t.Fatalf("%+v with the error %v", status, err)
		}
	})
}
