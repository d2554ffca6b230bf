using System.Net;
using System.Text;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Tests;

/// <summary>Refusals as OpenAI's clients read them (Api.Read checks their shape): error.message, type, param, code.</summary>
public sealed class OpenAiErrorsTests(Api api)
{
    [Theory]
    [InlineData("GET", "/v1/nothing", HttpStatusCode.NotFound, "invalid_request_error", null, null)]
    [InlineData("GET", "/v1/files/file-0", HttpStatusCode.NotFound, "invalid_request_error", null, "file_not_found")]
    [InlineData("GET", "/v1/files/ds_0", HttpStatusCode.NotFound, "invalid_request_error", null, "file_not_found")]
    [InlineData("GET", "/v1/models/gpt-4", HttpStatusCode.NotFound, "invalid_request_error", null, "model_not_found")]
    [InlineData("GET", "/v1/fine_tuning/jobs/job_0", HttpStatusCode.NotFound, "invalid_request_error", null, "fine-tuning_job_not_found")]
    [InlineData("PUT", "/v1/files", HttpStatusCode.MethodNotAllowed, "invalid_request_error", null, null)]
    [InlineData("POST", "/v1/files", HttpStatusCode.UnsupportedMediaType, "invalid_request_error", null, null)]
    [InlineData("POST", "/v1/fine_tuning/jobs", HttpStatusCode.UnsupportedMediaType, "invalid_request_error", null, null)]
    [InlineData("GET", "/v1/files?limit=0", HttpStatusCode.BadRequest, "invalid_request_error", "limit", null)]
    [InlineData("GET", "/v1/files?limit=many", HttpStatusCode.BadRequest, "invalid_request_error", "limit", null)]
    [InlineData("GET", "/v1/files?order=up", HttpStatusCode.BadRequest, "invalid_request_error", "order", null)]
    [InlineData("GET", "/v1/files?purpose=fun", HttpStatusCode.BadRequest, "invalid_request_error", "purpose", null)]
    [InlineData("GET", "/v1/files?after=ds_0", HttpStatusCode.BadRequest, "invalid_request_error", "after", null)]
    [InlineData("GET", "/v1/fine_tuning/jobs?after=job_0", HttpStatusCode.BadRequest, "invalid_request_error", "after", null)]
    public async Task Every_refusal_has_OpenAIs_shape(string method, string path, HttpStatusCode status, string type, string? param, string? code)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), path) { Content = method == "POST" ? new StringContent("{}") : null };

        var error = await Api.Read(await api.Http.SendAsync(request, Api.Cancel), status);

        Assert.Equal((type, param, code), ((string?)error["type"], (string?)error["param"], (string?)error["code"]));
    }

    [Fact]
    public async Task A_key_that_is_missing_or_has_not_the_scope_is_told_apart()
    {
        using var stranger = new HttpClient(new SocketsHttpHandler()) { BaseAddress = api.Http.BaseAddress };
        var unknown = await Api.Read(await stranger.GetAsync("/v1/models", Api.Cancel), HttpStatusCode.Unauthorized);
        var key = await api.Post($"/projects/{Project.Default}/keys", """{"name": "x", "scopes": ["datasets:read"]}""", HttpStatusCode.Created);
        stranger.DefaultRequestHeaders.Authorization = new("Bearer", (string)key["key"]!);
        var forbidden = await Api.Read(await stranger.GetAsync("/v1/models", Api.Cancel), HttpStatusCode.Forbidden);

        Assert.Equal(("authentication_error", "invalid_api_key"), ((string?)unknown["type"], (string?)unknown["code"]));
        Assert.Equal(("permission_error", "insufficient_permissions"), ((string?)forbidden["type"], (string?)forbidden["code"]));
    }

    [Fact]
    public async Task The_clients_own_header_names_the_project()
    {
        var project = (string)(await api.Post("/projects", """{"name": "Film Reviews!"}""", HttpStatusCode.Created))["id"]!;
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/files") { Content = OpenAiFilesTests.Form("rows.jsonl", "{\"prompt\": \"a\", \"completion\": \"b\"}\n") };
        request.Headers.Add("OpenAI-Project", project);

        var file = await Api.Read(await api.Http.SendAsync(request, Api.Cancel), HttpStatusCode.OK);

        await api.Get($"/v1/files/{file["id"]}", HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task A_limit_of_the_project_is_429()
    {
        var project = (string)(await api.Post("/projects", """{"name": "full", "limits": {"max_queued_jobs": 0}}""", HttpStatusCode.Created))["id"]!;
        using var upload = new HttpRequestMessage(HttpMethod.Post, "/v1/files") { Content = OpenAiFilesTests.Form("rows.jsonl", "{\"prompt\": \"a\", \"completion\": \"b\"}\n") };
        upload.Headers.Add("OpenAI-Project", project);
        var file = await Api.Read(await api.Http.SendAsync(upload, Api.Cancel), HttpStatusCode.OK);
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/fine_tuning/jobs") { Content = new StringContent($$"""{"model": "tiny-llama", "training_file": "{{file["id"]}}" }""", Encoding.UTF8, "application/json") };
        request.Headers.Add("OpenAI-Project", project);

        var error = await Api.Read(await api.Http.SendAsync(request, Api.Cancel), HttpStatusCode.TooManyRequests);

        Assert.Equal(("rate_limit_error", "rate_limit_exceeded"), ((string?)error["type"], (string?)error["code"]));
    }

    [Fact]
    public async Task A_defect_shows_a_trace_id_and_nothing_of_its_inside()
    {
        var id = await api.PutJob(JobStatus.Failed);
        await api.InDatabase(db => db.Jobs.Where(job => job.Id == id).ExecuteUpdateAsync(job => job.SetProperty(row => row.Resolutions, "{}"), Api.Cancel));

        var error = await api.Get($"/v1/fine_tuning/jobs/ftjob-{id["job_".Length..]}", HttpStatusCode.InternalServerError);
        await api.InDatabase(db => db.Jobs.Where(job => job.Id == id).ExecuteDeleteAsync(Api.Cancel)); // Or every list of jobs breaks.

        Assert.Equal("server_error", (string?)error["type"]);
        Assert.Contains("Trace id: ", (string)error["message"]!);
        Assert.DoesNotContain("Json", (string)error["message"]!);
    }

    [Fact]
    public async Task A_conflict_says_that_asking_again_does_not_help()
    {
        var id = await api.PutJob(JobStatus.Succeeded);

        var answer = await api.Http.PostAsync($"/v1/fine_tuning/jobs/ftjob-{id["job_".Length..]}/cancel", null, Api.Cancel);

        Assert.Equal("false", answer.Headers.GetValues("x-should-retry").Single());
        Assert.Contains("succeeded", (string)(await Api.Read(answer, HttpStatusCode.Conflict))["message"]!);
    }

    [Fact]
    public async Task All_faults_are_in_the_message_and_the_first_is_the_param()
    {
        var error = await api.Post("/v1/chat/completions", """{"model": "x", "messages": [{"role": "user"}], "temperature": 3, "logit_bais": {}}""", HttpStatusCode.BadRequest);

        Assert.Equal("temperature", (string)error["param"]!);
        Assert.Contains("logit_bais: ", (string)error["message"]!);
        Assert.Contains("Did you mean logit_bias?", (string)error["message"]!);
    }

    [Fact]
    public async Task A_message_is_named_by_its_place()
    {
        var error = await api.Post("/v1/chat/completions", """{"model": "x", "messages": [{"role": "user", "content": "a"}, {"role": "user"}]}""", HttpStatusCode.BadRequest);

        Assert.Equal("messages[1].content", (string)error["param"]!);
    }

    [Fact]
    public async Task A_body_that_is_no_JSON_blames_no_field()
    {
        using var broken = new StringContent("{", Encoding.UTF8, "application/json");

        Assert.Null((string?)(await Api.Read(await api.Http.PostAsync("/v1/fine_tuning/jobs", broken, Api.Cancel), HttpStatusCode.BadRequest))["param"]);
    }

    [Fact]
    public async Task Requests_that_succeed_have_an_id_too()
    {
        using var answer = await api.Http.GetAsync("/v1/models", Api.Cancel);

        Assert.NotEmpty(answer.Headers.GetValues("x-request-id").Single());
        using var other = await api.Http.GetAsync("/jobs", Api.Cancel);
        Assert.False(other.Headers.Contains("x-request-id"));
    }
}
