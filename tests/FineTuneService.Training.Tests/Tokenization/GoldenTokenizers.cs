using System.Text.Json;
using System.Text.Json.Nodes;

namespace FineTuneService.Training.Tests.Tokenization;

/// <summary>The fixture folders, and copies of them with something changed.</summary>
internal static class GoldenTokenizers
{
    public static string Root { get; } = Path.Combine(AppContext.BaseDirectory, "Fixtures", "tokenization");

    public static string Folder(string name) => Path.Combine(Root, name);

    public static string Golden(string name) => Path.Combine(Root, name, "golden.jsonl");

    public static JsonNode Json(string name) => JsonNode.Parse(File.ReadAllBytes(Path.Combine(Root, name, "tokenizer.json")))!;

    /// <summary>Tokens in the order of their ids.</summary>
    public static IEnumerable<string> Tokens(JsonNode json) =>
        json["model"]!["vocab"]!.AsObject().OrderBy(entry => entry.Value!.GetValue<int>()).Select(entry => entry.Key);

    /// <summary>A new folder with these files.</summary>
    public static string Write(params (string Name, string Content)[] files)
    {
        var folder = Directory.CreateTempSubdirectory("tokenizer").FullName;
        foreach (var (name, content) in files)
            File.WriteAllText(Path.Combine(folder, name), content);
        return folder;
    }

    /// <summary>A new folder with a tokenizer.json of this model (a whole JSON object) and other members.</summary>
    public static string Write(string model, string others = "") => Write(("tokenizer.json", $$"""{ "model": {{model}} {{others}} }"""));

    public static string Quote(string text) => JsonSerializer.Serialize(text);
}
