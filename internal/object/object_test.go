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

package object

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestOlder(t *testing.T) {
	t.Parallel()
	huge := strings.Repeat("9", 100)
	for _, test := range []struct {
		a, b        string
		older, back bool
	}{
		{"1", "2", true, false},
		{"2", "2", false, false},
		{"9", "10", true, false},
		{"999", huge, true, false},
		{"18446744073709551615", "18446744073709551616", true, false},
		// What cannot be compared is neither older nor newer.
		{"", "1", false, false},
		{"", "", false, false},
		{"0", "1", false, false},
		{"01", "2", false, false},
		{"-1", "1", false, false},
		{"+1", "2", false, false},
		{" 1", "2", false, false},
		{"1.5", "2", false, false},
		{"0x1", "2", false, false},
		{"v1", "v2", false, false},
		{"1\x00", "2", false, false},
		{"\xff\xfe", "1", false, false},
		{"١", "2", false, false},
	} {
		if got := Older(test.a, test.b); got != test.older {
			t.Errorf("Older(%q, %q) is %t", test.a, test.b, got)
		}
		if got := Older(test.b, test.a); got != test.back {
			t.Errorf("Older(%q, %q) is %t", test.b, test.a, got)
		}
	}
}

func FuzzOlder(f *testing.F) {
	for _, version := range []string{"", "0", "1", "10", "007", "a", "\xff", "-1"} {
		f.Add(version, "5")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if Older(a, b) && Older(b, a) || Older(a, a) {
			t.Fatalf("%q and %q are out of order", a, b)
		}
	})
}

func TestKeyStrings(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		key         Key
		str, ref    string
		refersUnder string
	}{
		{Key{Kind: "ConfigMap", Namespace: "shop", Name: "x"}, "ConfigMap/shop/x", "v1/ConfigMap/shop/x", "v1"},
		{Key{Kind: "Namespace", Name: "shop"}, "Namespace/shop", "v1/Namespace/shop", "v1"},
		{Key{Group: "apps", Kind: "Deployment", Namespace: "a", Name: "b"}, "apps/Deployment/a/b", "apps/v1/Deployment/a/b", "apps/v1"},
	} {
		if got := test.key.String(); got != test.str {
			t.Errorf("%q, want %q", got, test.str)
		}
		if got := test.key.Ref(test.refersUnder); got != test.ref {
			t.Errorf("%q, want %q", got, test.ref)
		}
	}
}

func TestKeyOrder(t *testing.T) {
	t.Parallel()
	sorted := []Key{
		{Kind: "A", Name: "z"},
		{Kind: "A", Namespace: "a", Name: "y"},
		{Kind: "A", Namespace: "a", Name: "z"},
		{Kind: "B", Name: "a"},
		{Group: "g", Kind: "A", Name: "a"},
	}
	for i, a := range sorted {
		for j, b := range sorted {
			if got := a.Compare(b); (got < 0) != (i < j) || (got == 0) != (i == j) {
				t.Errorf("%v compared with %v is %d", a, b, got)
			}
		}
	}
}

func TestSameLooksAtContentAndFate(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h := Holding{UID: "u", Version: "1", Digest: Digest{1}}
	other := h
	other.Version = "2"
	g.Expect(h.Same(other)).To(BeTrue(), "another version of the same content")
	for _, change := range []func(*Holding){
		func(h *Holding) { h.UID = "v" },
		func(h *Holding) { h.Digest = Digest{2} },
		func(h *Holding) { h.Retain = true },
	} {
		other := h
		change(&other)
		g.Expect(h.Same(other)).To(BeFalse())
	}
}

func TestFingerprint(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	key := Key{Group: "g", Kind: "k", Namespace: "ns", Name: "n"}
	h := Holding{UID: "u", Version: "1", Digest: Digest{1}}
	original := h.Fingerprint(key)
	h.Version = "2"
	g.Expect(h.Fingerprint(key)).To(Equal(original), "the version does not count")

	seen := map[Digest]string{original: "original"}
	for name, change := range map[string]func(*Key, *Holding){
		"group":        func(k *Key, _ *Holding) { k.Group = "h" },
		"kind":         func(k *Key, _ *Holding) { k.Kind = "l" },
		"namespace":    func(k *Key, _ *Holding) { k.Namespace = "nt" },
		"name":         func(k *Key, _ *Holding) { k.Name = "o" },
		"uid":          func(_ *Key, h *Holding) { h.UID = "v" },
		"digest":       func(_ *Key, h *Holding) { h.Digest = Digest{2} },
		"retain":       func(_ *Key, h *Holding) { h.Retain = true },
		"shifted left": func(k *Key, _ *Holding) { k.Namespace, k.Name = "nsn", "" },
		"shifted over": func(k *Key, h *Holding) { k.Name, h.UID = "nu", "" },
	} {
		k, changed := key, h
		change(&k, &changed)
		fingerprint := changed.Fingerprint(k)
		if other, ok := seen[fingerprint]; ok {
			t.Errorf("%s has the fingerprint of %s", name, other)
		}
		seen[fingerprint] = name
	}
}

func TestInventoryDigestIgnoresOrder(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	var fingerprints []Digest
	for i := range 50 {
		fingerprints = append(fingerprints, DigestOf([]byte(strconv.Itoa(i))))
	}
	random := rand.New(rand.NewPCG(1, 1))
	whole := InventoryDigest(slices.Clone(fingerprints))
	for range 10 {
		shuffled := slices.Clone(fingerprints)
		random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		g.Expect(InventoryDigest(shuffled)).To(Equal(whole))
	}
	g.Expect(InventoryDigest(slices.Clone(fingerprints[:49]))).NotTo(Equal(whole))
	g.Expect(InventoryDigest(append(slices.Clone(fingerprints), fingerprints[0]))).NotTo(Equal(whole))
	g.Expect(InventoryDigest(nil)).To(Equal(InventoryDigest([]Digest{})))
	g.Expect(InventoryDigest(nil)).NotTo(Equal(Digest{}))
}

func TestRanks(t *testing.T) {
	t.Parallel()
	order := []schema.GroupKind{
		{Kind: "Namespace"}, {Kind: "ConfigMap"}, {Group: "example.com", Kind: "Widget"}, {Group: "apps", Kind: "Deployment"},
	}
	for i, gk := range order {
		if int(RankOf(gk)) != i {
			t.Errorf("%s has rank %d", gk, RankOf(gk))
		}
	}
	if RankOf(schema.GroupKind{Group: "example.com", Kind: "Namespace"}) != RankOther {
		t.Error("a kind of the same name in another group has its rank")
	}
}
