using System.Net;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Training.Assessment;
using FineTuneService.Training.Tasks;

namespace FineTuneService.Api.Tests;

/// <summary>On what a trainer leaves in a checkpoint of 40 validation rows, of which the file's lines 2 to 41 are.</summary>
public sealed class ReportsTests(Api api)
{
    private const int Rows = 40;

    [Fact]
    public async Task A_report_tells_the_surest_mistakes_with_their_texts()
    {
        var dataset = await Upload();
        var id = await Judged(dataset, wrong: [3, 7]);

        var answer = await api.Get($"/jobs/{id}/report");

        Assert.Equal((7, dataset), ((int)answer["step"]!, (string)answer["dataset"]!));
        var report = answer["report"]!;
        Assert.Equal(0.95, (double)report["accuracy"]!);
        Assert.Equal(["bad", "good"], report["classes"]!.AsArray().Select(quality => (string)quality!["label"]!));
        Assert.Equal(2, report["confident_mistakes"]!.AsArray().Count);
        Assert.Equal((9, "text, of row 7"), ((int)report["confident_mistakes"]![0]!["line"]!, (string)report["confident_mistakes"]![0]!["text"]!)); // The surer the later, here.
        Assert.Equal(("bad", "good"), ((string)report["confident_mistakes"]![0]!["predicted"]![0]!, (string)report["confident_mistakes"]![0]!["labels"]![0]!));
        await api.Get($"/jobs/{id}/report?checkpoint=8", HttpStatusCode.NotFound);
        await api.Get($"/jobs/{(await api.PutCheckpoint()).Id}/report", HttpStatusCode.NotFound);
        await api.Get($"/jobs/{await api.PutJob(JobStatus.Queued)}/report", HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task A_report_outlives_its_dataset()
    {
        var dataset = await Upload();
        var id = await Judged(dataset, wrong: [3]);
        File.Delete(Directory.EnumerateFiles(api.Data, $"{dataset}.csv", SearchOption.AllDirectories).Single());

        Assert.Null((await api.Get($"/jobs/{id}/report"))["report"]!["confident_mistakes"]![0]!["text"]);
    }

    [Fact]
    public async Task Jobs_on_the_same_rows_are_compared_row_by_row()
    {
        var dataset = await Upload();
        var first = await Judged(dataset, wrong: [.. Enumerable.Range(0, 14)]);
        var near = await Judged(dataset, wrong: [.. Enumerable.Range(0, 12), 20], learningRate: 0.2);
        var better = await Judged(await Upload(), wrong: [13], learningRate: 0.3); // The same file, uploaded twice.

        var comparison = await api.Get($"/jobs/compare?ids={first},{near},{better}");

        Assert.Equal([first, near, better], comparison["jobs"]!.AsArray().Select(job => (string)job!["id"]!));
        Assert.All(comparison["jobs"]!.AsArray(), job => Assert.Equal((7, Rows), ((int)job!["step"]!, (int)job["rows"]!)));
        var difference = comparison["differences"]!.AsArray().Single(one => (string)one!["pointer"]! == "/training/learning_rate")!;
        Assert.Equal([0.1, 0.2, 0.3], difference["values"]!.AsArray().Select(value => (double)value!));
        var (chance, real) = (comparison["pairs"]![0]!, comparison["pairs"]![1]!);
        Assert.Equal(("not_distinguishable", 1, 2), ((string)chance["verdict"]!, (int)chance["right_to_wrong"]!, (int)chance["wrong_to_right"]!));
        Assert.Equal(1, (double)chance["p_value"]!);
        Assert.Equal((22, "text, of row 20"), ((int)chance["flips_to_wrong"]![0]!["line"]!, (string)chance["flips_to_wrong"]![0]!["text"]!));
        Assert.Equal(("second_is_better", 0, 13), ((string)real["verdict"]!, (int)real["right_to_wrong"]!, (int)real["wrong_to_right"]!));
        Assert.Equal(2 * 2 * Math.Pow(0.5, 13), (double)real["p_value"]!, 1e-9); // Two pairs: the smaller counts twice.
        var accuracy = real["metrics"]![0]!;
        Assert.Equal(("accuracy", 0.65, 0.975), ((string)accuracy["name"]!, (double)accuracy["first"]!, (double)accuracy["second"]!));
        Assert.InRange(0.325, (double)accuracy["low"]!, (double)accuracy["high"]!);
    }

    [Fact]
    public async Task Jobs_on_other_rows_are_not_compared_and_it_is_told_why()
    {
        var dataset = await Upload();
        var first = await Judged(dataset, wrong: []);
        foreach (var (other, reason) in new[]
        {
            (await Judged(dataset, wrong: [], shift: 5), "40 and 40, of which 35 in common"),
            (await Judged(await Upload("x"), wrong: []), "different files"),
            (await Judged(dataset, wrong: [], labels: ["no", "yes"]), "not the labels"),
            ((await api.PutCheckpoint()).Id, "keeps no predictions"),
            (await api.PutJob(JobStatus.Queued), "no checkpoint"),
        })
        {
            var pair = (await api.Get($"/jobs/compare?ids={first},{other}"))["pairs"]![0]!;
            Assert.Equal("not_comparable", (string)pair["verdict"]!);
            Assert.Contains(reason, (string)pair["explanation"]!);
        }
        await api.Get($"/jobs/compare?ids={first},job_unknown", HttpStatusCode.NotFound);
        foreach (var ids in new[] { "", first, $"{first},{first}" })
            Assert.Equal(["?ids"], Api.Pointers(await api.Get($"/jobs/compare?ids={ids}", HttpStatusCode.UnprocessableEntity)));
    }

    private async Task<string> Upload(string more = "") =>
        (string)(await api.Upload("rows.csv", "text,label\n" + string.Concat(Enumerable.Range(0, Rows + 5).Select(row => $"\"text, of row {row}{more}\",{(row % 2 == 0 ? "bad" : "good")}\n"))))["id"]!;

    /// <param name="wrong">Rows that are told wrong, the surer the later.</param>
    /// <param name="shift">From which row of the file on.</param>
    private async Task<string> Judged(string dataset, int[] wrong, double learningRate = 0.1, int shift = 0, string[]? labels = null)
    {
        var (id, folder) = await api.PutCheckpoint(new JsonObject
        {
            ["base_model"] = "tiny-bert-en",
            ["task"] = new JsonObject { ["type"] = "text-classification" },
            ["dataset"] = new JsonObject { ["train"] = dataset, ["text_column"] = "text", ["label_column"] = "label" },
            ["training"] = new JsonObject { ["learning_rate"] = learningRate },
        }.ToJsonString());
        int[] rows = [.. Enumerable.Range(0, Rows)];
        new ClassifierAssessment(new(
            ProblemType.SingleLabelClassification, labels ?? ["bad", "good"], [.. rows.Select(row => new[] { 0f, (((row + shift) % 2 == 0) == wrong.Contains(row) ? 1 : -1) * (1 + (row / 40f)) })], [.. rows.Select(row => new float[] { (row + shift) % 2 })])
        {
            Lines = [.. rows.Select(row => (long?)(row + shift + 2))],
        }).Write(folder);
        return id;
    }
}
