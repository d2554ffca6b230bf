using System.Text.Json.Nodes;

namespace FineTuneService.ClientGenerator;

/// <summary>An OpenAPI document, made to say what a generator of C# understands.</summary>
internal sealed class Description(JsonObject document)
{
    private const string SchemaPath = "#/components/schemas/";

    private JsonObject Paths => document["paths"]!.AsObject();

    private JsonObject Schemas => document["components"]!["schemas"]!.AsObject();

    public void Simplify()
    {
        Drop((path, _) => path.StartsWith("/v1/", StringComparison.Ordinal)); // OpenAI's own clients know these.
        Drop((_, operation) => !HasJsonAnswer(operation) || TakesFile(operation)); // Written by hand: files that come and go.
        foreach (var operation in Operations())
            KeepJsonAnswer(operation);
        foreach (var schema in Schemas.Select(schema => schema.Value!.AsObject()))
            foreach (var (name, property) in Properties(schema).ToList())
                schema["properties"]![name] = OfOneType(property);
        RequireWhatAlwaysComes();
        foreach (var unused in Schemas.Select(schema => schema.Key).Except(Reached(Paths)).Where(name => name != "Problem").ToList())
            Schemas.Remove(unused);
    }

    public override string ToString() => document.ToJsonString();

    private IEnumerable<JsonObject> Operations() => Paths.SelectMany(path => path.Value!.AsObject()).Select(operation => operation.Value!.AsObject());

    private void Drop(Func<string, JsonObject, bool> unwanted)
    {
        foreach (var (path, operations) in Paths.ToList())
        {
            foreach (var (verb, operation) in operations!.AsObject().ToList())
                if (unwanted(path, operation!.AsObject()))
                    operations.AsObject().Remove(verb);
            if (operations.AsObject().Count == 0)
                Paths.Remove(path);
        }
    }

    private static bool HasJsonAnswer(JsonObject operation) =>
        operation["responses"]!.AsObject().Any(answer => answer.Key == "204" ? operation["responses"]!.AsObject().All(other => other.Key[0] != '2' || other.Key == "204") : answer.Key[0] == '2' && answer.Value!["content"]?["application/json"] is not null);

    private static bool TakesFile(JsonObject operation) =>
        operation["requestBody"]?["content"]?.AsObject().Any(content => content.Key is "multipart/form-data" or "application/octet-stream") == true;

    /// <summary>Refusals are <c>FineTuneException</c>s, whichever operation they come from; streams are written by hand.</summary>
    private static void KeepJsonAnswer(JsonObject operation)
    {
        var answers = operation["responses"]!.AsObject();
        foreach (var status in answers.Where(answer => answer.Key[0] != '2' || (answer.Key == "204" && answers.ContainsKey("200"))).Select(answer => answer.Key).ToList())
            answers.Remove(status);
        foreach (var (_, answer) in answers)
            answer!["content"]?.AsObject().Remove("text/event-stream");
        if (operation["parameters"] is JsonArray parameters)
            parameters.RemoveAll(parameter => (string?)parameter!["in"] == "header");
    }

    /// <summary>A union of options is what they all extend; a union of a number and a word is anything, as JSON without a schema is.</summary>
    private JsonObject OfOneType(JsonObject property)
    {
        if (References(property).Contains("JsonNode"))
            return Anything(property);
        if (property["oneOf"] is not JsonArray union)
            return property.ToJsonString().Contains("\"oneOf\"", StringComparison.Ordinal) && property["items"] is JsonObject items ? With(property, "items", OfOneType(items)) : property;
        var simple = Anything(property);
        var bases = union.Select(option => option!["$ref"] is { } reference ? (string?)Named(reference)["allOf"]?[0]?["$ref"] : null).Distinct().ToList();
        if (bases is [{ } common])
            simple["allOf"] = new JsonArray(new JsonObject { ["$ref"] = common });
        return simple;
    }

    private static JsonObject Anything(JsonObject property) => new() { ["description"] = property["description"]?.DeepClone(), ["nullable"] = property["nullable"]?.DeepClone() };

    private static JsonObject With(JsonObject property, string name, JsonObject value)
    {
        property[name] = value;
        return property;
    }

    /// <summary>The service leaves out nothing but nulls, so that in an answer whatever cannot be null is there; of a request only what it says must be.</summary>
    private void RequireWhatAlwaysComes()
    {
        var sent = new JsonArray([.. Operations().Where(operation => operation["requestBody"] is not null).Select(operation => operation["requestBody"]!.DeepClone())]);
        foreach (var name in Schemas.Select(schema => schema.Key).Except(Reached(sent)))
        {
            var schema = Schemas[name]!.AsObject();
            schema["required"] = new JsonArray([.. Properties(schema).Where(property => property.Value["nullable"] is null).Select(property => (JsonNode)property.Key)]);
        }
    }

    private static IEnumerable<(string Key, JsonObject Value)> Properties(JsonObject schema) => schema["properties"]?.AsObject().Select(property => (property.Key, property.Value!.AsObject())) ?? [];

    private JsonObject Named(JsonNode reference) => Schemas[((string)reference!)[SchemaPath.Length..]]!.AsObject();

    /// <summary>Names of all schemas that something refers to, whatever they refer to, and what extends them.</summary>
    private HashSet<string> Reached(JsonNode from)
    {
        var reached = new HashSet<string>();
        var waiting = new Queue<JsonNode>([from]);
        while (waiting.TryDequeue(out var node))
            foreach (var name in References(node))
                if (reached.Add(name))
                    waiting.Enqueue(Schemas[name]!);
        return reached;
    }

    private static IEnumerable<string> References(JsonNode? node) => node switch
    {
        JsonObject members => members.SelectMany(member => References(member.Value)),
        JsonArray items => items.SelectMany(References),
        JsonValue value when value.TryGetValue<string>(out var text) && text.StartsWith(SchemaPath, StringComparison.Ordinal) => [text[SchemaPath.Length..]],
        _ => [],
    };
}
