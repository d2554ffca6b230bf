using System.Net;
using System.Text.Json;
using FineTuneService.Contracts;

namespace FineTuneService.Api.Tests;

public sealed class FindingsTests(Api api)
{
    private static readonly Finding Overfitting = new()
    {
        Code = "overfitting",
        Severity = FindingSeverity.Warning,
        FromStep = 20,
        ToStep = 40,
        Explanation = "It learns by heart.",
        Remedy = "Stop sooner.",
        Patch = new() { ["training"] = new System.Text.Json.Nodes.JsonObject { ["num_train_epochs"] = 0.5 } },
    };

    [Fact]
    public async Task Findings_are_told_the_gravest_first_and_the_newest_of_each_code()
    {
        var id = await api.PutJob(JobStatus.Running);
        await Log(id, Started(0), Told(Overfitting), Told(Overfitting with { ToStep = 60 }), Told(Overfitting with { Code = "learning_rate_too_high", Severity = FindingSeverity.High }));

        var findings = (await api.Get($"/jobs/{id}/findings"))["data"]!.AsArray();

        Assert.Equal([("learning_rate_too_high", "high", 40), ("overfitting", "warning", 60)], findings.Select(finding => ((string)finding!["code"]!, (string)finding["severity"]!, (int)finding["to_step"]!)));
    }

    [Fact]
    public async Task What_an_attempt_found_beyond_the_step_where_the_next_began_is_void()
    {
        var id = await api.PutJob(JobStatus.Running);
        await Log(id, Started(0), Told(Overfitting with { Code = "data_too_small", ToStep = 10 }), Told(Overfitting), Started(20));

        Assert.Equal(["data_too_small"], (await api.Get($"/jobs/{id}/findings"))["data"]!.AsArray().Select(finding => (string)finding!["code"]!));
    }

    [Fact]
    public async Task A_job_is_posted_again_with_the_remedy_of_what_was_found()
    {
        var id = await api.PostJob();
        await Log(id, Started(0), Told(Overfitting));

        var fixedJob = await api.Post($"/jobs/{id}/retry-with-fix", """{"codes": ["overfitting"]}""", HttpStatusCode.Created);

        Assert.NotEqual(id, (string)fixedJob["id"]!);
        Assert.Equal(0.5, (double)fixedJob["spec"]!["training"]!["num_train_epochs"]!);
        Assert.Equal((await api.Get($"/jobs/{id}"))["spec"]!["base_model"]!.ToJsonString(), fixedJob["spec"]!["base_model"]!.ToJsonString());
        var refused = await api.Post($"/jobs/{id}/retry-with-fix", """{"codes": ["overfitting", "label_noise"]}""", HttpStatusCode.UnprocessableEntity);
        Assert.Equal(["/codes/1"], Api.Pointers(refused));
        Assert.Contains("overfitting", (string)refused["faults"]![0]!["remedy"]!);
        foreach (var (body, pointer) in new[] { ("""{"codes": []}""", "/codes"), ("""{"codes": null}""", "/codes"), ("{}", "/codes"), ("""{"codes": [null]}""", "/codes/0"), ("[]", ""), ("{", "") })
            Assert.Equal([pointer], Api.Pointers(await api.Post($"/jobs/{id}/retry-with-fix", body, HttpStatusCode.UnprocessableEntity)));
    }

    private static RunStarted Started(int step) =>
        new() { Step = step, TotalSteps = 100, TrainRows = 1, ValidationRows = 1, TrainableParameters = 1, TotalParameters = 1, Device = "cpu", TruncatedRows = 0, TruncatedTokens = 0 };

    private static Diagnosed Told(Finding finding) => new() { Step = finding.ToStep, Finding = finding };

    private Task<int> Log(string id, params TrainingEvent[] happened) => api.InDatabase(db =>
    {
        foreach (var (index, one) in happened.Index())
            db.Events.Add(new() { JobId = id, Seq = index + 1, Type = one is RunStarted ? "started" : "diagnosis", Time = TimeProvider.System.GetUtcNow(), Data = JsonSerializer.Serialize(one, SnakeCaseJson.Options) });
        return db.SaveChangesAsync(Api.Cancel);
    });
}
