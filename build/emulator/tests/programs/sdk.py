"""Calls the emulated API by the SDK: python3 sdk.py http://127.0.0.1:PORT; prints `done`."""

import json
import sys
import time

from tencentcloud.cls.v20201016 import cls_client, models as cls
from tencentcloud.common import credential
from tencentcloud.common.exception import TencentCloudSDKException
from tencentcloud.common.profile import client_profile, http_profile
from tencentcloud.scf.v20180416 import models, scf_client

ENDPOINT = sys.argv[1]


def client(make, key="test-key"):
    scheme, host = ENDPOINT.split("://")
    http = http_profile.HttpProfile(protocol=scheme, endpoint=host)
    profile = client_profile.ClientProfile(httpProfile=http)
    return make(credential.Credential("test-id", key), "ap-guangzhou", profile)


scf = client(scf_client.ScfClient)


def call(action, **parameters):
    request = getattr(models, action + "Request")()
    request.from_json_string(json.dumps(parameters))
    return getattr(scf, action)(request)


def refused(code, action, **parameters):
    try:
        call(action, **parameters)
    except TencentCloudSDKException as error:
        assert error.get_code() == code, error
        assert error.get_request_id(), error
    else:
        raise AssertionError(f"{action} is not refused with {code}")


code = {"ImageConfig": {"ImageType": "personal", "ImageUri": "ccr.ccs.tencentyun.com/a/b:v1"}}
call("CreateNamespace", Namespace="bench", Description="for a test")
here = {"FunctionName": "hello", "Namespace": "bench"}
call("CreateFunction", Code=code, Runtime="CustomImage", MemorySize=128, **here)
while call("GetFunction", **here).Status == "Creating":
    time.sleep(0.02)
found = call("GetFunction", **here)
assert (found.Status, found.Runtime, found.ImageConfig.ImagePort) == ("Active", "CustomImage", 9000)
assert found.PublicNetConfig.PublicNetStatus == "ENABLE" and found.Environment.Variables == []

change = {"Environment": {"Variables": [{"Key": "NONCE", "Value": "1"}]}, "Publish": "TRUE"}
call("UpdateFunctionConfiguration", **change, **here)
while call("GetFunction", Qualifier="1", **here).Status != "Active":
    time.sleep(0.02)
versions = call("ListVersionByFunction", **here)
assert versions.FunctionVersion == ["1", "$LATEST"] or versions.FunctionVersion == ["$LATEST", "1"]
assert versions.Versions[0].Status == "Active" and versions.TotalCount == 2

event = json.dumps({"do": "count"}, separators=(",", ":"))
result = call("InvokeFunction", Qualifier="1", Event=event, LogType="Tail", **here).Result
assert (result.RetMsg, result.ErrMsg, result.InvokeResult) == ("1", "", 0), result
assert "Init Report" in result.Log and result.Duration > 0 and result.BillDuration >= 1
again = call("Invoke", Qualifier="1", ClientContext=event, LogType="Tail", **here).Result
assert again.RetMsg == "2" and "Init Report" not in again.Log
status = call("GetRequestStatus", FunctionRequestId=again.FunctionRequestId, **here)
assert status.Data[0].RetCode == 0 and status.Data[0].RetMsg == "2"

logs = client(cls_client.ClsClient)
search = cls.SearchLogRequest()
now = int(time.time() * 1000)
search.TopicId, search.From, search.To = found.ClsTopicId, now - 60000, now + 60000
search.QueryString, search.QuerySyntax, search.Limit = "SCF_Namespace:bench", 1, 3
pages = []
while True:
    page = logs.SearchLog(search)
    pages += [json.loads(line.LogJson) for line in page.Results]
    if page.ListOver:
        break
    search.Context = page.Context
assert len(pages) == len((result.Log + again.Log).splitlines()), pages
assert {page["SCF_RequestId"] for page in pages} == {
    result.FunctionRequestId, again.FunctionRequestId}

call("PutProvisionedConcurrencyConfig", Qualifier="1", VersionProvisionedConcurrencyNum=1, **here)
while True:
    allocated = call("GetProvisionedConcurrencyConfig", Qualifier="1", **here).Allocated
    if allocated[0].Status == "Done":
        break
    time.sleep(0.02)
call("DeleteProvisionedConcurrencyConfig", Qualifier="1", **here)
call("CreateAlias", Name="prod", FunctionVersion="1", **here)
assert call("GetAlias", Name="prod", **here).FunctionVersion == "1"
call("DeleteAlias", Name="prod", **here)
made = call("CreateTrigger", TriggerName="t", Type="timer", TriggerDesc="0 0 2 1 * * *", **here)
assert made.TriggerInfo.Enable == 1
assert call("ListTriggers", **here).TotalCount == 1
account = call("GetAccount")
assert account.AccountLimit.NamespacesCount == 5
assert call("ListFunctions", Namespace="bench").TotalCount == 1

refused("ResourceNotFound.Function", "GetFunction", FunctionName="nobody")
refused("ResourceInUse.Namespace", "DeleteNamespace", Namespace="bench")
scf = client(scf_client.ScfClient, "another-key")
refused("AuthFailure.SignatureFailure", "GetAccount")
scf = client(scf_client.ScfClient)
call("DeleteFunctionVersion", Qualifier="1", ForceDelete="true", **here)
call("DeleteFunction", **here)
call("DeleteNamespace", Namespace="bench")
print("done")
