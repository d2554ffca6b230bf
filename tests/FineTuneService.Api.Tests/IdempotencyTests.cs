using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using FineTuneService.Storage;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Tests;

/// <summary>A request that is sent twice is done once.</summary>
public sealed class IdempotencyTests(Api api)
{
    private const string Rows = "text,label\ngood,1\nbad,0\n";

    private readonly string _key = Guid.NewGuid().ToString();

    [Fact]
    public async Task The_same_request_has_the_same_answer_and_makes_one_job()
    {
        var body = await Spec();

        var (first, again) = (await Post("/jobs", body), await Post("/jobs", body));

        Assert.Equal((HttpStatusCode.Created, HttpStatusCode.Created), (first.Status, again.Status));
        Assert.Equal(first.Text, again.Text);
        Assert.Equal((first.Location, false, true), (again.Location, first.Replayed, again.Replayed));
        Assert.Equal(1, await Jobs(body));
    }

    [Fact]
    public async Task So_it_is_on_the_compatible_surface()
    {
        var dataset = (string)(await api.Upload("rows.csv", Rows))["id"]!;
        var body = $$"""{"model": "tiny-bert-en", "training_file": "{{dataset.Replace("ds_", "file-")}}", "suffix": "{{_key}}"}""";

        var (first, again) = (await Post("/v1/fine_tuning/jobs", body), await Post("/v1/fine_tuning/jobs", body));

        Assert.Equal((HttpStatusCode.OK, HttpStatusCode.OK), (first.Status, again.Status));
        Assert.Equal((first.Text, true), (again.Text, again.Replayed));
        Assert.Equal(1, await api.InDatabase(db => db.Jobs.CountAsync(job => job.Name == _key, Api.Cancel)));
    }

    [Fact]
    public async Task Of_many_at_once_one_is_done()
    {
        var body = await Spec();

        var answers = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Post("/jobs", body)));

        Assert.Equal(1, await Jobs(body));
        Assert.All(answers, answer => Assert.True(answer.Status is HttpStatusCode.Created or HttpStatusCode.Conflict, answer.Text));
        Assert.Single(answers.Where(answer => answer.Status == HttpStatusCode.Created).Select(answer => answer.Text).Distinct());
    }

    [Theory]
    [InlineData("/jobs", """{"name": "another"}""")]
    [InlineData("/sweeps", "")]
    public async Task Another_request_with_the_key_is_refused(string path, string change)
    {
        var body = await Spec();
        await Post("/jobs", body);

        var answer = await Post(path, change.Length == 0 ? body : change);

        Assert.Equal(HttpStatusCode.UnprocessableEntity, answer.Status);
        Assert.Contains("was used for another request", answer.Text);
        Assert.Equal(1, await Jobs(body));
    }

    [Fact]
    public async Task What_was_refused_can_be_tried_again()
    {
        var body = await Spec();

        Assert.Equal(HttpStatusCode.UnprocessableEntity, (await Post("/jobs", "{}")).Status);

        Assert.Equal(HttpStatusCode.Created, (await Post("/jobs", body)).Status);
    }

    [Fact]
    public async Task A_form_is_the_same_whatever_its_boundary()
    {
        var first = await Upload("rows.csv", Rows);
        var again = await Upload("rows.csv", Rows);

        Assert.Equal((HttpStatusCode.Created, first.Text, true), (again.Status, again.Text, again.Replayed));
        Assert.Equal(HttpStatusCode.UnprocessableEntity, (await Upload("rows.csv", Rows + "more,1\n")).Status);
        Assert.Equal(HttpStatusCode.UnprocessableEntity, (await Upload("other.csv", Rows)).Status);
    }

    [Theory]
    [InlineData("/jobs")]
    [InlineData("/v1/fine_tuning/jobs")]
    public async Task Who_asks_while_the_first_is_under_way_is_told_to_ask_again_soon(string path)
    {
        await api.InDatabase(db =>
        {
            db.IdempotentRequests.Add(new() { ProjectId = Project.Default, Key = _key, Fingerprint = "of another", StartedAt = TimeProvider.System.GetUtcNow() });
            return db.SaveChangesAsync(Api.Cancel);
        });
        using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = new StringContent("{}", Encoding.UTF8, "application/json") };
        request.Headers.Add("Idempotency-Key", _key);

        var answer = await api.Http.SendAsync(request, Api.Cancel);

        Assert.Equal(TimeSpan.FromSeconds(1), answer.Headers.RetryAfter?.Delta);
        Assert.Equal(path.StartsWith("/v1", StringComparison.Ordinal) ? ["true"] : [], answer.Headers.TryGetValues("x-should-retry", out var told) ? told : []);
        await Api.Read(answer, HttpStatusCode.Conflict);
    }

    [Fact]
    public async Task Without_a_key_every_request_counts()
    {
        var body = await Spec();
        await api.Post("/jobs", body, HttpStatusCode.Created);
        await api.Post("/jobs", body, HttpStatusCode.Created);

        Assert.Equal(2, await Jobs(body));
    }

    private async Task<string> Spec()
    {
        var dataset = (string)(await api.Upload("rows.csv", Rows))["id"]!;
        return $$"""{"name": "{{_key}}", "base_model": "tiny-bert-en", "task": "text-classification", "dataset": {"train": "{{dataset}}"} }""";
    }

    private Task<int> Jobs(string body) => api.InDatabase(db =>
    {
        var name = (string?)JsonNode.Parse(body)!["name"];
        return db.Jobs.CountAsync(job => job.Name == name, Api.Cancel);
    });

    private Task<(HttpStatusCode Status, string Text, string? Location, bool Replayed)> Post(string path, string body) => Send(path, new StringContent(body, Encoding.UTF8, "application/json"));

    private Task<(HttpStatusCode Status, string Text, string? Location, bool Replayed)> Upload(string name, string rows) => Send("/datasets", Api.Form(name, Encoding.UTF8.GetBytes(rows)));

    private async Task<(HttpStatusCode Status, string Text, string? Location, bool Replayed)> Send(string path, HttpContent content)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = content };
        request.Headers.Add("Idempotency-Key", _key);
        using var answer = await api.Http.SendAsync(request, Api.Cancel);
        return (answer.StatusCode, await answer.Content.ReadAsStringAsync(Api.Cancel), answer.Headers.Location?.ToString(), answer.Headers.Contains("Idempotent-Replayed"));
    }
}
