using System.Text.Json.Nodes;

namespace FineTuneService.Training.Tests.RandomSpecs;

/// <summary>Rows for a task, made of few words, some of them odd.</summary>
internal sealed class RandomRows
{
    private static readonly string[] Words =
    [
        "the", "river", "speaks", "to", "a", "king", "of", "night", "and", "walks", "slowly", "home", "where", "citizens", "proceed", "further", "unhappily", "noon", "corn", "price",
        "Über", "naïve", "42", "3.14", "it's", "—", "🎉", "incomprehensibilities", ".", ",", "?", "\t",
    ];

    private readonly Draw _draw;
    private readonly string _kind, _form;
    private readonly bool _isNarrow; // All rows say the same.

    public RandomRows(RandomTask task, Draw draw)
    {
        (_draw, _kind) = (draw, task.Rows);
        _isNarrow = draw.Chance(0.06);
        _form = _kind switch
        {
            "sft" => draw.Of("messages", "completion", "instruction"),
            "dpo" => draw.Of("texts", "messages"),
            "token-classification" => task.Json.ContainsKey("label_names") ? draw.Of("names", "numbers") : "names",
            _ => draw.Chance(0.25) ? "pairs" : "alone",
        };
        Rows = draw.Chance(0.9) ? draw.Between(6, 24) : draw.Between(1, 3);
        Files["train.jsonl"] = Make(Rows);
        if (draw.Chance(0.8))
            Files["validation.jsonl"] = Make(draw.Between(1, 9));
        if (draw.Chance(0.3))
            Files["test.jsonl"] = Make(draw.Between(1, 6));
        if (_kind is "causal-lm" or "sft" or "masked-lm" or "replaced-token-detection")
        {
            if (draw.Chance(0.2))
                Files["replay.jsonl"] = Make(draw.Between(1, 9));
            if (_kind != "replaced-token-detection" && draw.Chance(0.2))
                Files["earlier.jsonl"] = Make(draw.Between(1, 5));
        }
    }

    public int Rows { get; }

    public Dictionary<string, string[]> Files { get; } = [];

    public JsonObject Dataset()
    {
        var dataset = new JsonObject { ["train"] = "train.jsonl" };
        if (Files.ContainsKey("validation.jsonl"))
            dataset["validation"] = "validation.jsonl";
        else
            dataset["validation_split"] = _draw.Of(0.0, 0.2, 0.3);
        if (Files.ContainsKey("test.jsonl"))
            dataset["test"] = "test.jsonl";
        if (Files.ContainsKey("replay.jsonl"))
            dataset["replay"] = new JsonObject { ["dataset"] = "replay.jsonl", ["fraction"] = _draw.Of(0.1, 0.5) };
        if (Files.ContainsKey("earlier.jsonl"))
            dataset["earlier"] = new JsonArray("earlier.jsonl");
        return dataset;
    }

    private string[] Make(int count) => [.. Enumerable.Range(0, count).Select(at => Row(at).ToJsonString())];

    private JsonObject Row(int at)
    {
        // The first rows have every label, so that those of other files are known.
        switch (_kind)
        {
            case "single_label_classification":
                return Text("label", _isNarrow ? "a" : at < 3 ? "abc"[at].ToString() : _draw.Of("a", "a", "a", "b", "c"));
            case "multi_label_classification":
                return Text("label", new JsonArray([.. new[] { "x", "y", "z" }.Where(label => _isNarrow ? label == "x" : at == 0 || _draw.Chance(0.4)).Select(label => (JsonNode)label)]));
            case "regression":
                return Text("label", _isNarrow ? 1.5 : _draw.Between(-20, 20) / 4.0);
            case "token-classification":
                string[] words = [.. Enumerable.Range(0, at == 0 ? 4 : _draw.Between(1, 14)).Select(_ => _draw.Of(Words))];
                string[] names = ["O", "B-X", "I-X", "B-Y"];
                int[] tags = [.. words.Select((_, word) => _isNarrow ? 0 : at == 0 ? word : _draw.Between(0, 3))];
                return new()
                {
                    ["tokens"] = new JsonArray([.. words.Select(word => (JsonNode)word)]),
                    ["ner_tags"] = new JsonArray([.. tags.Select(tag => _form == "numbers" ? (JsonNode)tag : names[tag])]),
                };
            case "sft" when _form == "messages":
                return new() { ["messages"] = new JsonArray([.. Enumerable.Range(0, _draw.Between(1, 2)).SelectMany(_ => new JsonNode[] { Message("user"), Message("assistant") })]) };
            case "sft" when _form == "completion":
                return new() { ["prompt"] = Some(6), ["completion"] = Some(10) };
            case "sft":
                return new() { ["instruction"] = Some(6), ["input"] = _draw.Chance(0.5) ? "" : Some(4), ["output"] = Some(10) };
            case "dpo" when _form == "messages":
                return new() { ["prompt"] = new JsonArray(Message("user")), ["chosen"] = new JsonArray(Message("assistant")), ["rejected"] = new JsonArray(Message("assistant")) };
            case "dpo":
                return new() { ["prompt"] = Some(5), ["chosen"] = Some(8), ["rejected"] = Some(8) };
            default:
                return new() { ["text"] = Some(20) };
        }
    }

    private JsonObject Text(string name, JsonNode label) => _form == "pairs"
        ? new() { ["sentence1"] = Some(10), ["sentence2"] = Some(10), [name] = label }
        : new() { ["text"] = Some(16), [name] = label };

    private JsonObject Message(string role) => new() { ["role"] = role, ["content"] = Some(7) };

    private string Some(int most) => (_draw.Chance(0.9) ? "the " : "") + string.Join(' ', Enumerable.Range(0, _draw.Between(0, most)).Select(_ => _draw.Of(Words)));
}
