using System.Runtime.CompilerServices;
using System.Text;
using FineTuneService.Training.ChatTemplates.Jinja.Values;

namespace FineTuneService.Training.ChatTemplates.Jinja;

/// <summary>
/// One rendering under way: its output, and what it has used up. A template comes with a model from anywhere,
/// so everything that costs time or memory is charged here before it happens.
/// </summary>
internal sealed class Rendering(DateTimeOffset now, ListValue messages)
{
    // About a third of a second; a conversation of 1,000 messages takes some 100,000.
    private const int MostSteps = 4_000_000;
    private const int LongestText = 16 << 20;
    // UTF-16 units copied or scanned, all in all: strings that grow message by message are copied often.
    private const long MostText = 256L << 20;
    private const long MostItems = 8_000_000;
    private const int DeepestCalls = 200;

    private int _steps;
    private long _text;
    private long _items;
    private int _calls;

    /// <summary>Read once, so that every rendering of a conversation has the same.</summary>
    public DateTimeOffset Now => now;

    /// <summary>The conversation, to tell whose turn is being generated.</summary>
    public ListValue Messages => messages;

    /// <summary>Where in the source we are, for messages.</summary>
    public int Offset { get; set; }

    public StringBuilder Output { get; private set; } = new();

    /// <summary>What <c>{% generation %}</c> blocks wrote.</summary>
    public List<GenerationSpan> Generations { get; } = [];

    /// <summary>Whether a generation block wrote into a macro's or a set block's string, so that nobody knows where its words end up.</summary>
    public bool HasHiddenGeneration { get; set; }

    /// <summary>0 where what is written goes to the text itself, not into a macro's or a set block's string.</summary>
    public int Captures { get; private set; }

    public void Step()
    {
        if (++_steps > MostSteps)
            throw TemplateError.Limit($"The template takes more than {MostSteps:N0} steps for one conversation");
        RuntimeHelpers.EnsureSufficientExecutionStack();
    }

    public void ChargeText(int length, long times = 1)
    {
        if ((Int128)length * times > LongestText)
            throw TemplateError.Limit($"The template makes a string of more than {LongestText:N0} characters");
        _text += Math.Max(length, 1) * times;
        if (_text > MostText)
            throw TemplateError.Limit($"The template moves more than {MostText:N0} characters for one conversation");
    }

    public void ChargeItems(int count, long times = 1)
    {
        if ((Int128)count * times > MostItems || (_items += count * times) > MostItems)
            throw TemplateError.Limit($"The template makes lists of more than {MostItems:N0} items");
    }

    /// <summary>The value, with the scanning of it paid for when it is a string.</summary>
    public object Charged(object value)
    {
        if (PythonText.TryGet(value, out var text))
            ChargeText(text.Length);
        return value;
    }

    /// <summary>Where <paramref name="part"/> begins in <paramref name="text"/>, or -1.</summary>
    public int Search(string text, string part, int from = 0)
    {
        var at = text.IndexOf(part, from, StringComparison.Ordinal);
        // Looking for a long string that nearly fits everywhere is quadratic.
        _text += (long)((at < 0 ? text.Length : at) - from) * (part.Length / 64);
        ChargeText((at < 0 ? text.Length : at) - from);
        return at;
    }

    public string Text(string left, string right)
    {
        ChargeText(left.Length + right.Length);
        return string.Concat(left, right);
    }

    public string Text(ReadOnlySpan<char> text)
    {
        ChargeText(text.Length);
        return text.ToString();
    }

    public string Text(string text)
    {
        ChargeText(text.Length);
        return text;
    }

    public void Write(string text)
    {
        ChargeText(text.Length);
        if (Output.Length + text.Length > LongestText)
            throw TemplateError.Limit($"The template writes more than {LongestText:N0} characters");
        Output.Append(text);
    }

    /// <summary>What <paramref name="write"/> writes, as a string instead of output.</summary>
    public string Capture(Action write)
    {
        var (outer, inner) = (Output, new StringBuilder());
        (Output, Captures) = (inner, Captures + 1);
        write();
        (Output, Captures) = (outer, Captures - 1);
        return inner.ToString();
    }

    /// <summary>Runs a macro's body, unless macros are nested too deep already.</summary>
    public string Nested(Action write)
    {
        if (++_calls > DeepestCalls)
            throw TemplateError.Limit($"Macros call each other more than {DeepestCalls} deep");
        var text = Capture(write);
        _calls--;
        return text;
    }
}
