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
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	queryv1alpha1 "github.com/edgesync/edgesync/api/query/v1alpha1"
	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

// inventoryError is why it is not known what a node holds.
type inventoryError struct {
	node *syncv1alpha1.EdgeNode
	now  time.Time
	err  error
}

func (e *inventoryError) Error() string {
	name := e.node.Name
	switch {
	case e.node.Spec.Revoked:
		return name + " is revoked, so the manager refuses it and does not know what it holds"
	case e.node.Status.Session == nil:
		return fmt.Sprintf("%s is %s, so what it holds now is not known: ask again when it is connected", name, away(e.node, e.now))
	case isNotServed(e.err):
		return fmt.Sprintf("the cluster does not serve %s, with which the manager says what a node holds: install config/query of edgesync",
			queryv1alpha1.GroupVersion)
	case apierrors.IsServiceUnavailable(e.err):
		return fmt.Sprintf("no manager says what %s holds, since %s is not available: "+
			"see `kubectl get apiservice %s.%s`, and whether the managers run: %v", name, queryv1alpha1.GroupVersion,
			queryv1alpha1.GroupVersion.Version, queryv1alpha1.GroupVersion.Group, e.err)
	default:
		return fmt.Sprintf("ask what %s holds: %v", name, e.err)
	}
}

func (e *inventoryError) Unwrap() error { return e.err }

// isNotServed reports whether the path of an API is unknown, and not just one object.
func isNotServed(err error) bool {
	return apierrors.IsNotFound(err) && apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
}

// explain adds what to do to errors that the API server leaves at what is wrong.
func explain(err error) error {
	var known *inventoryError
	switch {
	case errors.As(err, &known):
		return err
	case isNotServed(err):
		return errors.New("the cluster does not know the objects of edgesync: install it with `kubectl apply -k config/default`, " +
			"or choose another cluster with --context")
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%w: an administrator can bind a role of edgesync to you (see `kubectl get clusterroles -l app.kubernetes.io/name=edgesync`)", err)
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("%w: your credentials are missing or over; log in to the cluster again", err)
	}
	return err
}
