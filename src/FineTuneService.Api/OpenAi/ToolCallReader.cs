using System.Text;
using System.Text.Json;

namespace FineTuneService.Api.OpenAi;

/// <summary>
/// Tells the calls in an answer from its text, as it comes in. Models write them as they were taught: Hermes and Qwen <c>&lt;tool_call&gt;{"name": …, "arguments": {…}}&lt;/tool_call&gt;</c>,
/// Llama 3 nothing but <c>{"name": …, "parameters": {…}}</c>. What is cut off, or calls what was not offered, stays text.
/// </summary>
/// <param name="offered">The names of the functions.</param>
public sealed class ToolCallReader(IReadOnlySet<string> offered)
{
    private const string Begin = "<tool_call>", End = "</tool_call>", PythonTag = "<|python_tag|>";

    private string _held = "";
    private bool _isText;
    private int _calls;

    /// <param name="tools">As the request has them.</param>
    public static ToolCallReader For(IReadOnlyList<JsonElement> tools) => new(tools.Select(NameOf).OfType<string>().ToHashSet());

    public bool HasCalls => _calls > 0;

    /// <returns>What is certain by now: text first, then the calls after it.</returns>
    public (string Text, IReadOnlyList<ToolCall> Calls) Read(string more, bool isLast)
    {
        _held += more;
        if (!_isText && IsBareSoFar())
        {
            if (!isLast)
                return ("", []);
            if (Parse(_held.Replace(PythonTag, "", StringComparison.Ordinal)) is { } bare)
                return ("", bare);
        }
        _isText = true;
        return ReadTagged(isLast);
    }

    private (string Text, IReadOnlyList<ToolCall> Calls) ReadTagged(bool isLast)
    {
        var (text, calls) = (new StringBuilder(), new List<ToolCall>());
        for (int begin; (begin = _held.IndexOf(Begin, StringComparison.Ordinal)) >= 0;)
        {
            var end = _held.IndexOf(End, begin, StringComparison.Ordinal);
            if (end < 0 && !isLast)
                break;
            var rest = end < 0 ? _held.Length : end + End.Length; // Some models end their turn without the tag.
            if (Parse(_held[(begin + Begin.Length)..(end < 0 ? rest : end)]) is { } found)
            {
                text.Append(_held.AsSpan(0, begin).TrimEnd());
                calls.AddRange(found);
            }
            else
                text.Append(_held.AsSpan(0, rest));
            _held = _held[rest..];
        }
        var certain = isLast ? (HasCalls ? _held.TrimEnd() : _held).Length : Certain();
        text.Append(_held.AsSpan(0, certain));
        _held = _held[certain..];
        return (text.ToString(), calls);
    }

    /// <summary>Characters before what may be the beginning of a call, and before the white space in front of it.</summary>
    private int Certain()
    {
        var begin = _held.IndexOf(Begin, StringComparison.Ordinal);
        for (var length = Math.Min(Begin.Length - 1, _held.Length); begin < 0 && length > 0; length--)
            if (_held.AsSpan().EndsWith(Begin.AsSpan(0, length)))
                begin = _held.Length - length;
        return (begin < 0 ? _held : _held[..begin]).TrimEnd().Length;
    }

    private bool IsBareSoFar()
    {
        var text = _held.AsSpan().TrimStart();
        return text.IsEmpty || text[0] == '{' || text.StartsWith(PythonTag) || PythonTag.AsSpan().StartsWith(text);
    }

    /// <returns>One call or several; null when it is anything else.</returns>
    private List<ToolCall>? Parse(string json)
    {
        var calls = new List<ToolCall>();
        try
        {
            var reader = new Utf8JsonReader(Encoding.UTF8.GetBytes(json), new JsonReaderOptions { AllowMultipleValues = true });
            while (reader.Read())
            {
                using var value = JsonDocument.ParseValue(ref reader);
                if (CallIn(value.RootElement) is not { } function)
                    return null;
                calls.Add(new($"call_{Guid.NewGuid():N}", function, _calls + calls.Count));
            }
        }
        catch (JsonException)
        {
            return null;
        }
        _calls += calls.Count;
        return calls.Count > 0 ? calls : null;
    }

    private CalledFunction? CallIn(JsonElement value) =>
        NameOf(value) is { } name && offered.Contains(name) && ArgumentsOf(value) is { } arguments ? new(name, arguments) : null;

    private static string? NameOf(JsonElement function)
    {
        if (function.ValueKind == JsonValueKind.Object && function.TryGetProperty("function", out var inner))
            function = inner;
        try
        {
            return function.ValueKind == JsonValueKind.Object && function.TryGetProperty("name", out var name) && name.ValueKind == JsonValueKind.String ? name.GetString() : null;
        }
        catch (InvalidOperationException) // an unpaired surrogate escape
        {
            return null;
        }
    }

    private static string? ArgumentsOf(JsonElement value) =>
        !value.TryGetProperty("arguments", out var given) && !value.TryGetProperty("parameters", out given) ? "{}"
        : given.ValueKind == JsonValueKind.Object ? given.GetRawText()
        : null;
}
