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

package enroll

import (
	"crypto/sha256"
	"os"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/edgesync/edgesync/internal/enroll/joinapi"
)

func template(change func(*Token)) Token {
	token := Token{Expires: now.Add(time.Hour), Uses: 1}
	change(&token)
	return token
}

func TestNewToken(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	token, text, err := NewToken(template(func(*Token) {}))
	g.Expect(err).NotTo(HaveOccurred())
	id, secret, err := joinapi.ParseToken(text)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(id).To(Equal(token.ID))
	g.Expect(secret).To(HaveLen(52), "256 bits, 5 in each character")
	g.Expect(token.Matches(secret)).To(BeTrue())
	g.Expect(token.Matches(secret[1:] + "a")).To(BeFalse())
	g.Expect(token.Matches("")).To(BeFalse())

	other, otherText, err := NewToken(template(func(*Token) {}))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(other.ID).NotTo(Equal(token.ID))
	g.Expect(otherText[len(other.ID):]).NotTo(Equal(text[len(token.ID):]))
}

func TestValidateToken(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*Token)
		err    string // empty: accepted
	}{
		"any node":             {func(*Token) {}, ""},
		"node":                 {func(t *Token) { t.Node = "edge-1" }, ""},
		"prefix":               {func(t *Token) { t.NodePrefix = "edge-" }, ""},
		"rejoin":               {func(t *Token) { t.Node, t.Rejoin = "edge-1", true }, ""},
		"labels":               {func(t *Token) { t.Labels = map[string]string{"region": "eu", "example.com/x": ""} }, ""},
		"label of Kubernetes":  {func(t *Token) { t.Labels = map[string]string{"topology.kubernetes.io/region": "eu"} }, ""},
		"label of the node":    {func(t *Token) { t.Labels = map[string]string{"self.sync.edgesync.io/os": "linux"} }, "for the node to say"},
		"no uses":              {func(t *Token) { t.Uses = 0 }, "at least 1"},
		"negative uses":        {func(t *Token) { t.Uses = -1 }, "at least 1"},
		"no expiry":            {func(t *Token) { t.Expires = time.Time{} }, "must expire"},
		"two bindings":         {func(t *Token) { t.Node, t.NodePrefix = "edge-1", "edge-" }, "exclude"},
		"rejoin of any":        {func(t *Token) { t.Rejoin = true }, "bound to a node name"},
		"rejoin of prefix":     {func(t *Token) { t.NodePrefix, t.Rejoin = "edge-", true }, "bound to a node name"},
		"bad node":             {func(t *Token) { t.Node = "Edge 1" }, "not a node name"},
		"bad prefix":           {func(t *Token) { t.NodePrefix = "-" }, "no node name begins with it"},
		"bad label key":        {func(t *Token) { t.Labels = map[string]string{"a b": "c"} }, "labels"},
		"bad label value":      {func(t *Token) { t.Labels = map[string]string{"a": "b c"} }, "labels"},
		"very long node":       {func(t *Token) { t.Node = strings.Repeat("a", 254) }, "at most 253"},
		"prefix without space": {func(t *Token) { t.NodePrefix = strings.Repeat("a", 253) }, "no node name begins with it"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			_, _, err := NewToken(template(test.change))
			if test.err == "" {
				g.Expect(err).NotTo(HaveOccurred())
			} else {
				g.Expect(err).To(MatchError(ContainSubstring(test.err)))
			}
		})
	}
}

func TestTokenSurvivesItsSecret(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	for _, change := range []func(*Token){
		func(*Token) {},
		func(t *Token) { t.Uses = 12; t.NodePrefix = "edge-"; t.Labels = map[string]string{"region": "eu"} },
		func(t *Token) { t.Node = "edge-1"; t.Rejoin = true },
	} {
		token, text, err := NewToken(template(change))
		g.Expect(err).NotTo(HaveOccurred())
		secret, err := token.toSecret(namespace)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(tokenFromSecret(secret)).To(Equal(token))
		for _, value := range secret.Data {
			g.Expect(string(value)).NotTo(ContainSubstring(text[len(token.ID)+1:]), "the secret itself is not kept")
		}
	}
}

// byHand is a token as somebody would write it into a Git repository.
func byHand(data map[string]string) *corev1.Secret {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "edgesync-join-abcd1234"},
		Type:       SecretType,
		Data: map[string][]byte{
			"secret-sha256": []byte(strings.Repeat("ab", sha256.Size) + "\n"),
			"expires":       []byte("2026-03-02T00:00:00+01:00\n"),
		},
	}
	for key, value := range data {
		secret.Data[key] = []byte(value)
	}
	return secret
}

func TestTokenWrittenByHand(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	token, err := tokenFromSecret(byHand(map[string]string{"node": "edge-1\n", "rejoin": "true\n", "labels": `{"region": "eu"}`}))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(token.ID).To(Equal("abcd1234"))
	g.Expect(token.Uses).To(Equal(1))
	g.Expect(token.Node).To(Equal("edge-1"))
	g.Expect(token.Rejoin).To(BeTrue())
	g.Expect(token.Expires.UTC()).To(Equal(time.Date(2026, 3, 1, 23, 0, 0, 0, time.UTC)))
	g.Expect(token.Labels).To(Equal(map[string]string{"region": "eu"}))

	refused := map[string]map[string]string{
		"no hash":        {"secret-sha256": ""},
		"short hash":     {"secret-sha256": "abcd"},
		"long hash":      {"secret-sha256": strings.Repeat("ab", 1000)},
		"no hexadecimal": {"secret-sha256": strings.Repeat("zz", sha256.Size)},
		"no expiry":      {"expires": ""},
		"expiry":         {"expires": "tomorrow"},
		"uses":           {"uses": "many"},
		"huge uses":      {"uses": "99999999999999999999"},
		"no uses":        {"uses": "0"},
		"used":           {"used": "some"},
		"negative used":  {"used": "-1"},
		"self label":     {"labels": `{"self.sync.edgesync.io/os": "linux"}`},
		"rejoin":         {"rejoin": "perhaps", "node": "edge-1"},
		"rejoin of any":  {"rejoin": "true"},
		"labels":         {"labels": `["region"]`},
	}
	for name, data := range refused {
		_, err := tokenFromSecret(byHand(data))
		g.Expect(err).To(HaveOccurred(), name)
	}
	other := byHand(nil)
	other.Type = corev1.SecretTypeOpaque
	_, err = tokenFromSecret(other)
	g.Expect(err).To(MatchError(ContainSubstring("type")))
	misnamed := byHand(nil)
	misnamed.Name = "abcd1234"
	_, err = tokenFromSecret(misnamed)
	g.Expect(err).To(MatchError(ContainSubstring("does not begin with edgesync-join-")))
	fixed := byHand(nil)
	fixed.Immutable = ptr.To(true)
	_, err = tokenFromSecret(fixed)
	g.Expect(err).To(MatchError(ContainSubstring("immutable")))
}

func TestParseToken(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	secret := strings.Repeat("a", 52)
	for _, wrong := range []string{"", ".", "abcd1234", "abcd1234.", "." + secret, "abcd123." + secret, "ABCD1234." + secret,
		"abcd1234567." + secret, "abcd1234." + secret[:42], "abcd1234." + strings.Repeat("a", 129), "abcd1234." + secret + ".x", "../../ab." + secret} {
		_, _, err := joinapi.ParseToken(wrong)
		g.Expect(err).To(MatchError("a join token has the form <id>.<secret>"), wrong)
	}
}

func FuzzTokenFromSecret(f *testing.F) {
	f.Add("abcd1234", strings.Repeat("ab", 32), "2026-03-02T00:00:00Z", "1", "edge-1", "", "true", `{"a":"b"}`)
	f.Add("abcd1234", strings.Repeat("ab", 99), "x", "-1", "", "p", "1", `{`)
	f.Fuzz(func(t *testing.T, id, hash, expires, uses, node, prefix, rejoin, labels string) {
		secret := byHand(map[string]string{"secret-sha256": hash, "expires": expires, "uses": uses,
			"node": node, "node-prefix": prefix, "rejoin": rejoin, "labels": labels})
		secret.Name = secretNamePrefix + id
		token, err := tokenFromSecret(secret)
		if err != nil {
			return
		}
		if token.Uses < 1 || token.Expires.IsZero() || (token.Rejoin && token.Node == "") || !joinapi.ValidTokenID(token.ID) {
			t.Fatalf("accepted %+v", token)
		}
	})
}

// The sample is what people start from. As it is, it must let nobody in.
func TestSample(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	manifest, err := os.ReadFile("../../config/samples/join_token.yaml")
	g.Expect(err).NotTo(HaveOccurred())
	secret := &corev1.Secret{}
	g.Expect(yaml.UnmarshalStrict(manifest, secret)).To(Succeed())
	secret.Data = map[string][]byte{}
	for key, value := range secret.StringData { // as the API server does
		secret.Data[key] = []byte(value)
	}

	token, err := tokenFromSecret(secret)

	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(token).To(Equal(&Token{
		ID: "shop0042", Expires: time.Date(2026, 12, 24, 0, 0, 0, 0, time.UTC), Uses: 1, Node: "till-0042",
		Labels: map[string]string{"region": "eu"}, Unmanaged: true,
	}))
}
