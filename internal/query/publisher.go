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
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	queryv1alpha1 "github.com/edgesync/edgesync/api/query/v1alpha1"
	"github.com/edgesync/edgesync/internal/pki"
)

// publishInterval is how often the APIService is looked at. A CA that hands over is still
// verified by what is published of the one before.
const publishInterval = 10 * time.Second

// APIService is the name of that of this API.
var APIService = queryv1alpha1.GroupVersion.Version + "." + queryv1alpha1.GroupVersion.Group

var apiServiceKind = schema.GroupVersionKind{Group: "apiregistration.k8s.io", Version: "v1", Kind: "APIService"}

// +kubebuilder:rbac:groups=apiregistration.k8s.io,resources=apiservices,resourceNames=v1alpha1.query.sync.edgesync.io,verbs=get;patch

// Publisher tells the API server which CAs the certificates of replicas come from, in the
// APIService if there is one. It is a manager Runnable that runs in the leader.
type Publisher struct {
	// Client must not cache.
	Client    client.Client
	Authority *pki.Authority
	Log       logr.Logger

	reported string
}

// NeedLeaderElection is true: replicas that have not heard of a new CA must not undo it.
func (*Publisher) NeedLeaderElection() bool { return true }

// Start publishes until ctx is done.
func (p *Publisher) Start(ctx context.Context) error {
	ticker := time.NewTicker(publishInterval)
	defer ticker.Stop()
	for {
		p.report(p.publish(ctx))
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (p *Publisher) publish(ctx context.Context) error {
	service := &unstructured.Unstructured{}
	service.SetGroupVersionKind(apiServiceKind)
	if err := p.Client.Get(ctx, client.ObjectKey{Name: APIService}, service); err != nil {
		return client.IgnoreNotFound(err)
	}
	bundle := p.Authority.AnchorsPEM()
	encoded, _, _ := unstructured.NestedString(service.Object, "spec", "caBundle")
	if published, err := base64.StdEncoding.DecodeString(encoded); err == nil && bytes.Equal(published, bundle) {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"caBundle": bundle}})
	if err != nil {
		return err
	}
	if err := p.Client.Patch(ctx, service, client.RawPatch(types.MergePatchType, patch)); err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	p.Log.Info("Published the CA of the query API", "apiService", APIService)
	return nil
}

// report logs a problem once.
func (p *Publisher) report(err error) {
	problem := ""
	if err != nil {
		problem = fmt.Sprint(err)
	}
	if problem != "" && problem != p.reported {
		p.Log.Error(err, "Cannot publish the CA of the query API", "apiService", APIService)
	}
	p.reported = problem
}
