using System.Net;
using FineTuneService.Contracts;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Tests;

public sealed class ProblemsTests(Api api)
{
    [Theory]
    [InlineData("GET", "/nothing", HttpStatusCode.NotFound)]
    [InlineData("PUT", "/jobs", HttpStatusCode.MethodNotAllowed)]
    [InlineData("POST", "/jobs", HttpStatusCode.UnsupportedMediaType)]
    [InlineData("POST", "/datasets", HttpStatusCode.UnsupportedMediaType)]
    [InlineData("GET", "/jobs?limit=0", HttpStatusCode.UnprocessableEntity)]
    [InlineData("GET", "/jobs?limit=many", HttpStatusCode.UnprocessableEntity)]
    [InlineData("GET", "/jobs?status=happy", HttpStatusCode.UnprocessableEntity)]
    [InlineData("GET", "/jobs/job_0/events?after=x", HttpStatusCode.UnprocessableEntity)]
    public async Task Every_refusal_is_a_problem_whatever_the_client_accepts(string method, string path, HttpStatusCode status)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), path) { Content = method == "POST" ? new StringContent("{}") : null };
        request.Headers.Accept.ParseAdd("text/html");

        var problem = await Api.Read(await api.Http.SendAsync(request, Api.Cancel), status);

        Assert.Equal(path.Split('?')[0], (string)problem["instance"]!);
        Assert.NotEmpty((string)problem["title"]!);
        Assert.NotEmpty((string)problem["trace_id"]!);
        if (status == HttpStatusCode.UnprocessableEntity)
            Assert.StartsWith("?", Api.Pointers(problem).Single());
    }

    [Fact]
    public async Task A_body_that_is_no_JSON_names_its_place()
    {
        var problem = await api.Post("/jobs", "{\n  \"name\": ,\n}", HttpStatusCode.UnprocessableEntity);

        Assert.StartsWith("line 2", (string)problem["faults"]![0]!["value"]!);
    }

    [Fact]
    public async Task A_defect_shows_nothing_of_its_inside()
    {
        var id = await api.PutJob(JobStatus.Failed);
        await api.InDatabase(db => db.Jobs.Where(job => job.Id == id).ExecuteUpdateAsync(job => job.SetProperty(row => row.Resolutions, "{}"), Api.Cancel));

        var problem = await api.Get($"/jobs/{id}", HttpStatusCode.InternalServerError);
        await api.InDatabase(db => db.Jobs.Where(job => job.Id == id).ExecuteDeleteAsync(Api.Cancel));

        Assert.DoesNotContain("Json", problem.ToJsonString());
        Assert.Contains((string)problem["trace_id"]!, problem.ToJsonString());
        Assert.Equal(["type", "title", "status", "detail", "instance", "trace_id"], problem.AsObject().Select(member => member.Key));
    }

    [Fact]
    public async Task The_service_tells_how_it_is()
    {
        Assert.Equal("""{"status":"ok","checks":{}}""", (await api.Get("/health/live")).ToJsonString());
        var ready = await api.Get("/health/ready");
        Assert.Equal(("degraded", "ok", "ok"), ((string)ready["status"]!, (string)ready["checks"]!["database"]!, (string)ready["checks"]!["disk"]!)); // No worker runs here.
    }

    [Fact]
    public async Task The_dashboard_is_there_for_local_requests() =>
        Assert.Contains("Hangfire", await api.Http.GetStringAsync("/hangfire", Api.Cancel));

    [Fact]
    public async Task Base_models_are_described()
    {
        var model = (await api.Get("/base-models"))["data"]!.AsArray().Single(model => (string)model!["name"]! == "tiny-bert-en")!;

        Assert.True((bool)model["supported"]!);
        Assert.Equal(("bert", 1_883_520, 8192, 128), ((string)model["model_type"]!, (int)model["parameters"]!, (int)model["vocab_size"]!, (int)model["max_length"]!));
        Assert.Contains("model.safetensors", model["files"]!.AsArray().Select(file => (string)file!));
    }
}
