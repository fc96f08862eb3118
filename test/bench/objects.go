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

package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"math"
	"slices"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// objectBytes is the size of the data of a ConfigMap.
const objectBytes = 1024

// creators is how many objects are created at the same time.
const creators = 16

// newConfigMap is a ConfigMap that the ObjectSync of the namespace selects.
func newConfigMap(namespace, name string) *corev1.ConfigMap {
	configMap := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, Name: name, Labels: map[string]string{"bench": namespace},
	}}
	fill(configMap)
	return configMap
}

// fill gives the ConfigMap data that it has never had, and that does not compress well.
func fill(configMap *corev1.ConfigMap) (content string) {
	random := make([]byte, objectBytes/2)
	_, _ = rand.Read(random) // never fails
	content = hex.EncodeToString(random)
	configMap.Data = map[string]string{"content": content}
	return content
}

// createObjects makes ConfigMaps.
func (b *bench) createObjects(ctx context.Context, namespace string, count int) error {
	progress("creating %d ConfigMaps in %s", count, namespace)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(creators)
	for i := range count {
		group.Go(func() error {
			return b.client.Create(ctx, newConfigMap(namespace, fmt.Sprintf("object-%04d", i)))
		})
	}
	return group.Wait()
}

// quantile is the least value that the share q of all values does not exceed; they get sorted.
func quantile[T cmp.Ordered](values []T, q float64) T {
	slices.Sort(values)
	rank := int(math.Ceil(q * float64(len(values))))
	return values[max(rank, 1)-1]
}
