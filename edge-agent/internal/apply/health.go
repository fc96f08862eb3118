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

package apply

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"

	"github.com/edgesync/edgesync/edge-agent/internal/store"
)

// Health asks once for the object and judges it by the conventions of kstatus.
func (k *Kubernetes) Health(ctx context.Context, entry *store.Entry) error {
	resource, err := k.resource(entry)
	if err != nil {
		return err
	}
	live, err := get(ctx, resource, entry.Key.Name)
	if err != nil {
		return k.explain(err, entry)
	}
	if live == nil || live.GetDeletionTimestamp() != nil {
		_, err := k.Apply(ctx, entry)
		return err
	}
	return health(live)
}

// health judges an object by its status. One of a kind that follows no convention, or
// whose status makes no sense, is healthy: there is nothing to wait for.
func health(live *unstructured.Unstructured) error {
	result, err := status.Compute(live)
	if err != nil {
		return nil
	}
	switch result.Status {
	case status.InProgressStatus:
		return fmt.Errorf("%w: %s", ErrProgressing, result.Message)
	case status.FailedStatus:
		return fmt.Errorf("%w: %s", ErrUnhealthy, result.Message)
	default:
		return nil
	}
}
