using System.Net;
using System.Text;

namespace FineTuneService.Api.Tests;

/// <summary>The earlier dataset that a job learns again is one of its datasets.</summary>
public sealed class ReplayTests(Api api)
{
    private const string Rows = "{\"text\": \"one two\"}\n{\"text\": \"three four\"}\n";

    [Fact]
    public async Task It_is_found_by_its_name_and_stays_as_long_as_a_job_names_it()
    {
        var (train, old) = (await Upload("replay-new.jsonl", Rows), await Upload("replay-old.jsonl", Rows.Replace("one", "five", StringComparison.Ordinal)));

        var job = await api.Post("/jobs", Job(train, "replay-old.jsonl"), HttpStatusCode.Created);

        Assert.Equal($$"""{"dataset":"{{old}}","fraction":0.2}""", job["spec"]!["dataset"]!["replay"]!.ToJsonString());
        await Api.Read(await api.Http.DeleteAsync($"/datasets/{old}", Api.Cancel), HttpStatusCode.Conflict);
    }

    [Fact]
    public async Task What_cannot_be_learnt_again_is_told()
    {
        var (train, labels) = (await Upload("replay-rows.jsonl", Rows), await Upload("replay-labels.csv", "sentence,label\ngood,1\nbad,0\n"));

        Assert.Equal(["/dataset/replay/dataset"], Api.Pointers(await api.Post("/jobs", Job(train, "ds_0"), HttpStatusCode.UnprocessableEntity)));
        Assert.Equal(["/dataset/replay/dataset"], Api.Pointers(await api.Post("/jobs", Job(train, labels), HttpStatusCode.UnprocessableEntity)));
        Assert.Equal(["/dataset/replay/fraction"], Api.Pointers(await api.Post("/jobs", Job(train, train, "1"), HttpStatusCode.UnprocessableEntity)));
        var classes = $$"""{"base_model": "tiny-bert-en", "task": "text-classification", "dataset": {"train": "{{labels}}", "replay": {"dataset": "{{labels}}"} } }""";
        Assert.Equal(["/dataset/replay"], Api.Pointers(await api.Post("/jobs", classes, HttpStatusCode.UnprocessableEntity)));
    }

    [Fact]
    public async Task Earlier_datasets_that_are_scored_stay_as_well()
    {
        var (train, old) = (await Upload("earlier-new.jsonl", Rows), await Upload("earlier-old.jsonl", Rows.Replace("one", "six", StringComparison.Ordinal)));
        string Naming(string earlier, string task = "masked-lm") => $$"""{"base_model": "tiny-bert-en", "task": "{{task}}", "dataset": {"train": "{{train}}", "earlier": ["{{train}}", "{{earlier}}"]} }""";

        var job = await api.Post("/jobs", Naming("earlier-old.jsonl"), HttpStatusCode.Created);

        Assert.Equal($"""["{train}","{old}"]""", job["spec"]!["dataset"]!["earlier"]!.ToJsonString());
        await Api.Read(await api.Http.DeleteAsync($"/datasets/{old}", Api.Cancel), HttpStatusCode.Conflict);
        Assert.Equal(["/dataset/earlier/1"], Api.Pointers(await api.Post("/jobs", Naming("ds_0"), HttpStatusCode.UnprocessableEntity)));
        Assert.Contains("/dataset/earlier", Api.Pointers(await api.Post("/jobs", Naming(old, "text-classification"), HttpStatusCode.UnprocessableEntity)));
    }

    [Fact]
    public async Task Another_project_has_no_such_dataset()
    {
        var old = await Upload("replay-ours.jsonl", Rows);
        using var theirs = await api.NewProject();
        var train = (string)(await Api.Read(await theirs.PostAsync("/datasets", Api.Form("rows.jsonl", Encoding.UTF8.GetBytes(Rows)), Api.Cancel), HttpStatusCode.Created))["id"]!;

        using var body = new StringContent(Job(train, old), Encoding.UTF8, "application/json");
        var problem = await Api.Read(await theirs.PostAsync("/jobs", body, Api.Cancel), HttpStatusCode.UnprocessableEntity);

        Assert.Equal(["/dataset/replay/dataset"], Api.Pointers(problem));
    }

    private async Task<string> Upload(string name, string rows) => (string)(await api.Upload(name, rows))["id"]!;

    private static string Job(string train, string replay, string fraction = "0.2") =>
        $$"""{"base_model": "tiny-bert-en", "task": "masked-lm", "dataset": {"train": "{{train}}", "replay": {"dataset": "{{replay}}", "fraction": {{fraction}}} } }""";
}
