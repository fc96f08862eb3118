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
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"sigs.k8s.io/controller-runtime/pkg/client"

	queryv1alpha1 "github.com/edgesync/edgesync/api/query/v1alpha1"
	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

const versionPath = "/apis/query.sync.edgesync.io/v1alpha1"

var resource = queryv1alpha1.GroupVersion.WithResource(queryv1alpha1.Resource).GroupResource()

// handle answers one request: first who asks, and only then what for.
func (s *Server) handle(w http.ResponseWriter, r *http.Request) {
	caller, err := s.callers.identify(r)
	if err != nil {
		s.options.Log.V(1).Info("Refused a query", "address", r.RemoteAddr, "reason", err.Error())
		fail(w, apierrors.NewUnauthorized(err.Error()))
		return
	}
	if r.Method != http.MethodGet {
		fail(w, apierrors.NewMethodNotSupported(resource, strings.ToLower(r.Method)))
		return
	}
	if document := discovery(r); document != nil {
		answer(w, http.StatusOK, document)
		return
	}
	node, ok := strings.CutPrefix(r.URL.Path, versionPath+"/"+queryv1alpha1.Resource+"/")
	if !ok || node == "" || strings.Contains(node, "/") {
		fail(w, notHere(r))
		return
	}
	select {
	case s.places <- struct{}{}:
		defer func() { <-s.places }()
	default:
		fail(w, apierrors.NewTooManyRequests("too many queries at once", 1))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
	defer cancel()
	if err := s.get(w, r.WithContext(ctx), caller, node); err != nil {
		fail(w, err)
	}
}

func notHere(r *http.Request) error {
	return apierrors.NewGenericServerResponse(http.StatusNotFound, strings.ToLower(r.Method), schema.GroupResource{}, "",
		"only single nodeinventories are served: GET "+versionPath+"/nodeinventories/NAME", 0, false)
}

// get answers with the inventory of a node, or has the replica answer that has its session.
func (s *Server) get(w http.ResponseWriter, r *http.Request, caller caller, node string) error {
	if err := s.authorize(r, caller.user, node); err != nil {
		return err
	}
	selection, err := parseSelection(r.URL.Query())
	if err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	if inventory := s.inventory(node, selection); inventory != nil {
		answer(w, http.StatusOK, inventory)
		return nil
	}
	if caller.replica != "" {
		return apierrors.NewServiceUnavailable(fmt.Sprintf("the node %s has no session at the replica %s any longer: ask again", node, s.options.Replica))
	}
	address, replica, err := s.locate(r.Context(), node)
	if err != nil {
		return err
	}
	s.forward(w, r, caller.user, replica, address)
	return nil
}

func (s *Server) authorize(r *http.Request, who user.Info, node string) error {
	decision, reason, err := s.authorizer.Authorize(r.Context(), authorizer.AttributesRecord{
		User: who, Verb: "get", Path: r.URL.Path, ResourceRequest: true, Name: node,
		APIGroup: queryv1alpha1.GroupVersion.Group, APIVersion: queryv1alpha1.GroupVersion.Version, Resource: queryv1alpha1.Resource,
	})
	switch {
	case err != nil:
		return apierrors.NewServiceUnavailable("the API server cannot say whether you may: " + err.Error())
	case decision != authorizer.DecisionAllow:
		return apierrors.NewForbidden(resource, node, fmt.Errorf("%s may not get it%s", who.GetName(), because(reason)))
	}
	return nil
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// locate finds the replica that has the session of a node.
func (s *Server) locate(ctx context.Context, name string) (address, replica string, err error) {
	var node syncv1alpha1.EdgeNode
	if err := s.options.Nodes.Get(ctx, client.ObjectKey{Name: name}, &node); apierrors.IsNotFound(err) {
		return "", "", notFound(name, "there is no EdgeNode of that name")
	} else if err != nil {
		return "", "", apierrors.NewServiceUnavailable("the EdgeNode cannot be read: " + err.Error())
	}
	session := node.Status.Session
	if session == nil || session.Replica == s.options.Replica {
		return "", "", notFound(name, "the node is not connected, and what it holds is known only while it is")
	}
	address, ok := s.options.Locate(session.Replica)
	if !ok {
		return "", "", apierrors.NewServiceUnavailable(fmt.Sprintf("the replica %s, which has the session of %s, does not answer", session.Replica, name))
	}
	return address, session.Replica, nil
}

// notFound says in words what it is that is not there.
func notFound(node, why string) error {
	err := apierrors.NewNotFound(resource, node)
	err.ErrStatus.Message += ": " + why
	return err
}

// fail answers with an error as Kubernetes words it.
func fail(w http.ResponseWriter, err error) {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		status = apierrors.NewInternalError(err)
	}
	body := status.Status()
	body.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	if body.Details != nil && body.Details.RetryAfterSeconds > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(body.Details.RetryAfterSeconds))
	}
	answer(w, int(body.Code), body)
}

func answer(w http.ResponseWriter, code int, body any) {
	encoded, err := json.Marshal(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(encoded)
}
