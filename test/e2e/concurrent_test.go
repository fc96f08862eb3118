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

package e2e

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"
)

// concurrently does something with each of many, a few at a time.
func concurrently[T any](all []T, do func(T) error) {
	GinkgoHelper()
	var group errgroup.Group
	group.SetLimit(16)
	for _, one := range all {
		group.Go(func() error { return do(one) })
	}
	Expect(group.Wait()).To(Succeed())
}
