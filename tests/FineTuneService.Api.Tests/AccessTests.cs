using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;
using FineTuneService.Api.Access;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Routing;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;

namespace FineTuneService.Api.Tests;

/// <summary>Who gets in, and what they see. The routes are taken from the OpenAPI document, so that a new one cannot be forgotten.</summary>
public sealed class AccessTests(Api api) : IAsyncLifetime
{
    private readonly List<HttpClient> _clients = [];

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public ValueTask DisposeAsync()
    {
        foreach (var client in _clients)
            client.Dispose();
        return ValueTask.CompletedTask;
    }

    [Fact]
    public void Every_route_asks_for_a_scope_or_says_that_it_is_for_all()
    {
        string[] open = ["/health/live", "/health/ready", "/session", "/session"];
        var routes = api.Services.GetRequiredService<EndpointDataSource>().Endpoints.OfType<RouteEndpoint>().ToList();

        Assert.True(routes.Count > 30, $"{routes.Count}");
        Assert.Empty(routes.Where(route => route.Metadata.GetMetadata<RequiredScope>() is null && route.Metadata.GetMetadata<IAllowAnonymous>() is null).Select(route => route.DisplayName));
        Assert.Equal(open, routes.Where(route => route.Metadata.GetMetadata<IAllowAnonymous>() is not null).Select(route => $"/{route.RoutePattern.RawText!.Trim('/')}").Order());
    }

    [Fact]
    public async Task Without_a_key_every_route_is_shut()
    {
        var stranger = Client(null);
        foreach (var (method, path, _) in await Routes())
        {
            var problem = await Api.Read(await Send(stranger, method, path), HttpStatusCode.Unauthorized);
            Assert.Contains("Authorization: Bearer", (string)(problem["detail"] ?? problem["message"])!);
        }
    }

    [Theory]
    [InlineData("unknown")]
    [InlineData("revoked")]
    [InlineData("expired")]
    [InlineData("of another scheme")]
    public async Task A_key_that_does_not_hold_is_shut_out_everywhere(string kind)
    {
        var (key, id) = kind == "unknown" ? (ApiKeys.Mark + new string('x', 43), "") : await Key(Project.Default, kind == "expired" ? -1 : null, [.. Scope.All]);
        if (kind == "revoked")
        {
            Assert.Equal(HttpStatusCode.OK, (await Client(key).GetAsync("/jobs", Api.Cancel)).StatusCode);
            await Api.Read(await api.Http.DeleteAsync($"/projects/{Project.Default}/keys/{id}", Api.Cancel), HttpStatusCode.NoContent);
        }
        var client = Client(key);
        if (kind == "of another scheme")
            client.DefaultRequestHeaders.Authorization = new("Digest", key);
        foreach (var (method, path, _) in await Routes())
            await Api.Read(await Send(client, method, path), HttpStatusCode.Unauthorized);
    }

    [Fact]
    public async Task A_key_opens_what_its_scopes_name_and_no_more()
    {
        var routes = await Routes();
        Assert.Equal(["admin", "anyone", "datasets:read", "datasets:write", "jobs:read", "jobs:write", "models:read"], routes.Select(route => route.Scope).Distinct().Order());
        foreach (var scope in Scope.All)
        {
            var client = Client((await Key(Project.Default, null, scope)).Key);
            foreach (var (method, path, needed) in routes)
            {
                using var answer = await Send(client, method, path);
                Assert.True(Scope.Allows([scope], needed) != (answer.StatusCode == HttpStatusCode.Forbidden), $"{scope}: {method} {path} needs {needed}, and answers {(int)answer.StatusCode}");
                Assert.NotEqual(HttpStatusCode.Unauthorized, answer.StatusCode);
                Assert.True((int)answer.StatusCode < 500, $"{method} {path}: {(int)answer.StatusCode}");
            }
        }
    }

    [Fact]
    public async Task Another_projects_things_are_not_there()
    {
        var (mine, _) = await api.PutCheckpoint();
        var dataset = (string)(await api.Upload("mine.csv", "text,label\ngood,1\nbad,0\n"))["id"]!;
        var (sweep, upload) = (Ids.NewSweep(), Ids.NewUpload());
        await api.InDatabase(db =>
        {
            var now = TimeProvider.System.GetUtcNow();
            db.Uploads.Add(new() { Id = upload, ProjectId = Project.Default, FileName = "a.jsonl", Purpose = "fine-tune", MimeType = "text/jsonl", Bytes = 1, CreatedAt = now, ExpiresAt = now.AddHours(1) });
            db.Sweeps.Add(new() { Id = sweep, Status = SweepStatus.Running, Spec = """{"spec": {}, "parameters": {}}""", Metric = "eval_loss", GreaterIsBetter = false, MaxConcurrentJobs = 1, CreatedAt = TimeProvider.System.GetUtcNow() });
            return db.SaveChangesAsync(Api.Cancel);
        });
        var other = Client((await Key(await NewProject(), null, [.. Scope.All.Except([Scope.Admin])])).Key);

        foreach (var (method, path, needed) in (await Routes()).Where(route => route.Path.Contains('{') && route.Scope != Scope.Admin))
        {
            var id = path.Split('/', StringSplitOptions.RemoveEmptyEntries) switch
            {
                ["datasets", ..] => dataset,
                ["sweeps", ..] => sweep,
                ["v1", "files", ..] => $"file-{dataset["ds_".Length..]}",
                ["v1", "uploads", ..] => upload,
                ["v1", "fine_tuning", ..] => $"ftjob-{mine["job_".Length..]}",
                _ => mine,
            };
            var model = $"ft:tiny-bert-en:default::{mine[^12..]}";
            using var answer = await Send(other, method, path.Replace("{id}", id, StringComparison.Ordinal).Replace("{which}", "best", StringComparison.Ordinal).Replace("{model}", model, StringComparison.Ordinal));
            Assert.True(answer.StatusCode == HttpStatusCode.NotFound, $"{method} {path} ({needed}): {(int)answer.StatusCode}");
        }
        foreach (var list in new[] { "/jobs", "/datasets", "/sweeps", "/v1/files", "/v1/fine_tuning/jobs" })
            Assert.Empty((await Api.Read(await other.GetAsync(list, Api.Cancel), HttpStatusCode.OK))["data"]!.AsArray());
        Assert.Equal(JobStatus.Succeeded, await api.InDatabase(db => db.Jobs.Where(job => job.Id == mine).Select(job => job.Status).SingleAsync(Api.Cancel)));

        var spec = $$"""{"base_model": "tiny-bert-en", "task": "text-classification", "dataset": {"train": "{{dataset}}"} }""";
        Assert.Equal(["/dataset/train"], Api.Pointers(await Api.Read(await other.PostAsync("/jobs", Json(spec), Api.Cancel), HttpStatusCode.UnprocessableEntity)));
        Assert.Equal(["/dataset/train"], Api.Pointers(await Api.Read(await other.PostAsync("/jobs", Json(spec.Replace(dataset, "mine.csv")), Api.Cancel), HttpStatusCode.UnprocessableEntity)));
        Assert.Contains("/base_model", Api.Pointers(await Api.Read(await other.PostAsync("/jobs", Json(spec.Replace("tiny-bert-en", $"job:{mine}")), Api.Cancel), HttpStatusCode.UnprocessableEntity)));
    }

    [Fact]
    public async Task Only_an_admin_names_the_project_to_act_in()
    {
        var project = await NewProject();
        var owner = Client((await Key(project, null, "datasets:write")).Key);
        await Api.Read(await owner.PostAsync("/datasets", Api.Form("theirs.csv", "text,label\na,1\n"u8.ToArray()), Api.Cancel), HttpStatusCode.Created);

        var admin = Client(Api.Key);
        admin.DefaultRequestHeaders.Add(Caller.ProjectHeader, project);
        Assert.Single((await Api.Read(await admin.GetAsync("/datasets", Api.Cancel), HttpStatusCode.OK))["data"]!.AsArray());
        owner.DefaultRequestHeaders.Add(Caller.ProjectHeader, Project.Default);
        await Api.Read(await owner.GetAsync("/datasets", Api.Cancel), HttpStatusCode.Forbidden);
    }

    [Fact]
    public async Task A_key_is_shown_once_and_only_its_hash_is_kept()
    {
        var (key, id) = await Key(Project.Default, null, "jobs:read");

        var row = await api.InDatabase(db => db.ApiKeys.SingleAsync(row => row.Id == id, Api.Cancel));
        Assert.Equal((ApiKeys.HashOf(key), key[..11]), (row.Hash, row.Prefix));
        var list = await api.Http.GetStringAsync($"/projects/{Project.Default}/keys", Api.Cancel);
        Assert.Contains(id, list);
        Assert.DoesNotContain(key, list);
        Assert.DoesNotContain(row.Hash, list);
    }

    [Fact]
    public async Task Faults_of_a_key_are_told_all_at_once()
    {
        var problem = await api.Post($"/projects/{Project.Default}/keys", """{"name": "x", "scopes": ["jobs:read", "jobs:all"], "expires_at": "2001-01-01T00:00:00Z"}""", HttpStatusCode.UnprocessableEntity);

        Assert.Equal(["/expires_at", "/scopes/1"], Api.Pointers(problem).Order());
    }

    [Fact]
    public async Task Writes_are_on_record_with_their_answer_and_reads_are_not()
    {
        var project = await NewProject();
        var (key, id) = await Key(project, null, "jobs:read", "datasets:write");
        var client = Client(key);
        await client.PostAsync("/datasets", Api.Form("rows.csv", "text,label\na,1\n"u8.ToArray()), Api.Cancel);
        await client.PostAsync("/jobs/job_0/cancel", null, Api.Cancel);
        await client.GetAsync("/jobs", Api.Cancel);

        var entries = (await api.Get($"/audit?project={project}"))["data"]!.AsArray();
        Assert.Equal(
            [("/jobs/{id}/cancel", "/jobs/job_0/cancel", 403), ("/datasets/", "/datasets", 201)],
            entries.Select(entry => ((string)entry!["route"]!, (string)entry["path"]!, (int)entry["status"]!)));
        Assert.All(entries, entry => Assert.Equal(id, (string?)entry!["caller"]));
    }

    [Fact]
    public async Task The_queues_dashboard_is_the_admins()
    {
        var (key, _) = await Key(Project.Default, null, [.. Scope.All.Except([Scope.Admin])]);
        using var shut = await Client(null).GetAsync("/hangfire", Api.Cancel);
        Assert.Equal((HttpStatusCode.Unauthorized, "Basic"), (shut.StatusCode, shut.Headers.WwwAuthenticate.Single().Scheme));
        using var forbidden = await Client(key).GetAsync("/hangfire", Api.Cancel);
        Assert.Equal(HttpStatusCode.Forbidden, forbidden.StatusCode);
        var browser = Client(null);
        browser.DefaultRequestHeaders.Authorization = new("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes($"me:{Api.Key}")));
        using var open = await browser.GetAsync("/hangfire", Api.Cancel);
        Assert.Equal(HttpStatusCode.OK, open.StatusCode);
    }

    [Fact]
    public async Task A_browser_signs_in_with_a_key_that_holds_and_out()
    {
        using var browser = new HttpClient(new SocketsHttpHandler()) { BaseAddress = api.Http.BaseAddress };
        foreach (var body in new[] { "{}", """{"key": null}""", """{"key": ""}""", """{"key": "\ud800"}""", "[]", "{" })
            await Api.Read(await browser.PostAsync("/session", Json(body), Api.Cancel), HttpStatusCode.UnprocessableEntity);
        await Api.Read(await browser.PostAsync("/session", Json("""{"key": "ft_nobody_knows"}"""), Api.Cancel), HttpStatusCode.Unauthorized);
        await Api.Read(await browser.GetAsync("/me", Api.Cancel), HttpStatusCode.Unauthorized);

        await Api.Read(await browser.PostAsync("/session", Json($$"""{"key": "{{Api.Key}}"}"""), Api.Cancel), HttpStatusCode.NoContent);
        await Api.Read(await browser.GetAsync("/me", Api.Cancel), HttpStatusCode.OK);
        await Api.Read(await browser.DeleteAsync("/session", Api.Cancel), HttpStatusCode.OK);
        await Api.Read(await browser.GetAsync("/me", Api.Cancel), HttpStatusCode.Unauthorized);
    }

    /// <summary>Method, path with its parameters, scope of every route.</summary>
    private async Task<List<(HttpMethod Method, string Path, string Scope)>> Routes()
    {
        const string Mark = "Scope: `";
        var document = JsonNode.Parse(await api.Http.GetStringAsync("/swagger/v1/swagger.json", Api.Cancel))!;
        var described = from path in document["paths"]!.AsObject()
                        from operation in path.Value!.AsObject()
                        let text = (string?)operation.Value!["description"]
                        where text?.Contains(Mark, StringComparison.Ordinal) == true
                        select (HttpMethod.Parse(operation.Key), path.Key.Replace("{number}", "1", StringComparison.Ordinal), text[(text.IndexOf(Mark, StringComparison.Ordinal) + Mark.Length)..].TrimEnd('.', '`'));
        var routes = described.ToList();
        Assert.True(routes.Count >= 30);
        return routes;
    }

    private static async Task<HttpResponseMessage> Send(HttpClient client, HttpMethod method, string path)
    {
        using var request = new HttpRequestMessage(method, path.Replace("{", "").Replace("}", ""));
        if (method != HttpMethod.Get && method != HttpMethod.Delete)
            request.Content = method == HttpMethod.Put ? new StringContent("{}", new MediaTypeHeaderValue("application/octet-stream")) : Json("{}");
        return await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Api.Cancel);
    }

    private static StringContent Json(string json) => new(json, Encoding.UTF8, "application/json");

    private async Task<string> NewProject() => (string)(await api.Post("/projects", """{"name": "another"}""", HttpStatusCode.Created))["id"]!;

    /// <param name="hours">From now on it holds for so long; null: without end. Negative ones cannot be had from the API.</param>
    private async Task<(string Key, string Id)> Key(string project, double? hours, params string[] scopes)
    {
        if (hours is null)
        {
            var made = await api.Post($"/projects/{project}/keys", new JsonObject { ["name"] = "test", ["scopes"] = new JsonArray([.. scopes.Select(scope => JsonValue.Create(scope))]) }.ToJsonString(), HttpStatusCode.Created);
            return ((string)made["key"]!, (string)made["id"]!);
        }
        var (key, row) = api.Services.GetRequiredService<ApiKeys>().Create(project, "test", scopes, TimeProvider.System.GetUtcNow().AddHours(hours.Value));
        await api.InDatabase(db =>
        {
            db.ApiKeys.Add(row);
            return db.SaveChangesAsync(Api.Cancel);
        });
        return (key, row.Id);
    }

    private HttpClient Client(string? key)
    {
        var client = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false }) { BaseAddress = api.Http.BaseAddress };
        _clients.Add(client);
        client.DefaultRequestHeaders.Authorization = key is null ? null : new AuthenticationHeaderValue("Bearer", key);
        return client;
    }
}
