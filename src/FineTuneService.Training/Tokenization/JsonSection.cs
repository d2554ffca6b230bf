using System.Text.Json;
using System.Text.Unicode;
using FineTuneService.Contracts;

namespace FineTuneService.Training.Tokenization;

/// <summary>A part of a tokenizer's JSON file that knows where it stands, so that every fault names file and place.</summary>
internal readonly record struct JsonSection(JsonElement Element, string File, string Pointer)
{
    /// <summary>Reads a whole file.</summary>
    /// <exception cref="FaultException">When it is not JSON; names the line. When a name or a string in it is no text; names the place.</exception>
    public static JsonSection Load(string file)
    {
        var utf8 = System.IO.File.ReadAllBytes(file);
        if (!Utf8.IsValid(utf8)) // The parser does not look into strings.
            throw new FaultException(file, null, "This is not valid UTF-8.", "Download the file again.");
        try
        {
            var root = new JsonSection(JsonDocument.Parse(utf8).RootElement, file, "");
            if (utf8.AsSpan().IndexOf("\\ud"u8) >= 0 || utf8.AsSpan().IndexOf("\\uD"u8) >= 0) // Seldom: others write such characters as they are.
                root.RefuseHalfPairs();
            return root;
        }
        catch (JsonException error)
        {
            throw new FaultException($"{file}:{error.LineNumber + 1}", null, $"This is not JSON: {error.Message}", "Download the file again.");
        }
    }

    /// <summary>The member, or null when it is absent or null.</summary>
    public JsonSection? Find(string name)
    {
        if (Element.ValueKind != JsonValueKind.Object)
            throw Fault("An object is expected here.", "Download the file again.");
        return Element.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null
            ? new(value, File, $"{Pointer}/{name}")
            : null;
    }

    public JsonSection Get(string name) => Find(name) ?? throw Fault($"'{name}' is missing.", "Download the file again.");

    public IEnumerable<JsonSection> Items()
    {
        if (Element.ValueKind != JsonValueKind.Array)
            throw Fault("A list is expected here.", "Download the file again.");
        var (file, pointer) = (File, Pointer);
        return Element.EnumerateArray().Select((item, i) => new JsonSection(item, file, $"{pointer}/{i}"));
    }

    public IEnumerable<(string Name, JsonSection Value)> Members()
    {
        if (Element.ValueKind != JsonValueKind.Object)
            throw Fault("An object is expected here.", "Download the file again.");
        var (file, pointer) = (File, Pointer);
        return Element.EnumerateObject().Select(member => (member.Name, new JsonSection(member.Value, file, $"{pointer}/{member.Name}")));
    }

    public string Text()
    {
        if (Element.ValueKind != JsonValueKind.String)
            throw Fault("A string is expected here.", "Download the file again.");
        return Element.GetString()!;
    }

    public int Number() => Element.ValueKind == JsonValueKind.Number && Element.TryGetInt32(out var number) && number >= 0
        ? number
        : throw Fault("A whole number from 0 on is expected here.", "Download the file again.");

    public double Real() => Element.ValueKind == JsonValueKind.Number ? Element.GetDouble() : throw Fault("A number is expected here.", "Download the file again.");

    public bool Flag() => Element.ValueKind is JsonValueKind.True or JsonValueKind.False
        ? Element.GetBoolean()
        : throw Fault("true or false is expected here.", "Download the file again.");

    public string Text(string name) => Get(name).Text();

    public bool Flag(string name, bool otherwise) => Find(name)?.Flag() ?? otherwise;

    /// <summary>A string of exactly one scalar.</summary>
    public string Scalar(string name)
    {
        var member = Get(name);
        var text = member.Text();
        return text.EnumerateRunes().Count() == 1 ? text : throw member.Fault("Exactly one character is expected here.", "Download the file again.");
    }

    public FaultException Fault(string message, string remedy)
    {
        var value = Element.GetRawText();
        return new($"{File}#{Pointer}", value.Length > 120 ? value[..117] + "..." : value, message, remedy);
    }

    /// <summary>For a component whose <c>type</c> nobody here implements.</summary>
    public FaultException UnknownType(string what) =>
        Get("type").Fault($"This {what} is not known.", "Use a model with another tokenizer, or a newer version of this program.");

    /// <summary>JSON can spell what is no text; whoever read it then would fail.</summary>
    private void RefuseHalfPairs()
    {
        try
        {
            if (Element.ValueKind == JsonValueKind.String)
                _ = Element.GetString();
            foreach (var part in Element.ValueKind == JsonValueKind.Object ? Members().Select(member => member.Value) : Element.ValueKind == JsonValueKind.Array ? Items() : [])
                part.RefuseHalfPairs();
        }
        catch (InvalidOperationException)
        {
            throw Fault("A string or a name holds half of a surrogate pair.", "Download the file again.");
        }
    }
}
