using System.Text.Json;
using FineTuneService.Training.Tasks;

namespace FineTuneService.Training.Tests.Tasks;

public sealed class EntitiesTests
{
    private static readonly JsonElement[] Golden =
        [.. File.ReadLines(Path.Combine(AppContext.BaseDirectory, "Fixtures", "seqeval", "golden.jsonl")).Select(line => JsonElement.Parse(line))];

    [Fact]
    public void The_entities_are_those_that_seqeval_finds() => Assert.All(Golden, row =>
    {
        Assert.Equal(Expected(row, "actual"), Entities.Of(Tags(row, "actual")));
        Assert.Equal(Expected(row, "predicted"), Entities.Of(Tags(row, "predicted")));
    });

    /// <summary>Counted over all rows of the golden file by type and place.</summary>
    [Fact]
    public void Scores_count_whole_entities()
    {
        var scorer = new TagScorer(["O", "B-PER"]);
        foreach (var row in Golden)
            scorer.Add(Tags(row, "predicted"), Tags(row, "actual"));

        var right = Golden.Sum(row => Expected(row, "actual").Intersect(Expected(row, "predicted")).Count());
        var (predicted, actual) = (Golden.Sum(row => Expected(row, "predicted").Length), Golden.Sum(row => Expected(row, "actual").Length));
        var metrics = scorer.Compute().Metrics;
        Assert.Equal((double)right / predicted, metrics["precision"], 12);
        Assert.Equal((double)right / actual, metrics["recall"], 12);
        Assert.Equal(2.0 * right / (predicted + actual), metrics["f1"], 12);
        Assert.InRange(metrics["accuracy"], metrics["f1"], 1);
    }

    [Fact]
    public void Plain_names_are_entities_where_something_is_outside_and_else_classes_of_words()
    {
        Assert.Equal([new Entity("PER", 1, 3)], Entities.Of(["O", "PER", "PER"]));
        Assert.True(Entities.AreTags(["O", "PER"]));
        Assert.False(Entities.AreTags(["NOUN", "VERB"]));

        var scorer = new TagScorer(["NOUN", "VERB"]);
        scorer.Add(["NOUN", "VERB"], ["NOUN", "NOUN"]);
        Assert.Equal(0.5, scorer.Compute().Metrics["accuracy"]);
        Assert.DoesNotContain("f1", scorer.Compute().Metrics.Keys);
    }

    private static string[] Tags(JsonElement row, string which) => row.GetProperty(which).Deserialize<string[]>()!;

    private static Entity[] Expected(JsonElement row, string which) =>
        [.. row.GetProperty(which + "_entities").EnumerateArray().Select(entity => new Entity(entity[0].GetString()!, entity[1].GetInt32(), entity[2].GetInt32()))];
}
