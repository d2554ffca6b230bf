using FineTuneService.Training.ChatTemplates.Jinja.Library;

namespace FineTuneService.Training.ChatTemplates.Jinja.Values;

/// <summary>What Python's operators make of two values.</summary>
internal static class PythonOperators
{
    public static bool IsTrue(object value) => value switch
    {
        bool truth => truth,
        string text => text.Length > 0,
        None or Undefined => false,
        long integer => integer != 0,
        double real => real != 0,
        Markup markup => markup.Text.Length > 0,
        SequenceValue sequence => sequence.Items.Length > 0,
        DictValue dict => dict.Count > 0,
        _ => true,
    };

    public static object Add(object left, object right, Rendering run)
    {
        if (left is string a && right is string b)
            return run.Text(a, b);
        if (PythonText.TryGet(left, out var leftText) && PythonText.TryGet(right, out var rightText))
            return new Markup(run.Text(left is Markup ? leftText : PythonText.EscapeHtml(leftText), right is Markup ? rightText : PythonText.EscapeHtml(rightText)));
        if (PythonNumber.Is(left) && PythonNumber.Is(right))
            return PythonNumber.Calculate('+', left, right);
        if (left is ListValue x && right is ListValue y)
            return new ListValue(Concatenate(x.Items, y.Items, run));
        if (left is TupleValue t && right is TupleValue u)
            return new TupleValue(Concatenate(t.Items, u.Items, run));
        RequireDefined(left, right);
        throw new TemplateError(left is string ? $"can only concatenate str (not \"{PythonType.Name(right)}\") to str" : Unsupported("+", left, right));
    }

    /// <param name="operation">- * / % ^ (power) or f (floor division).</param>
    /// <param name="left">Any value.</param>
    /// <param name="right">Any value.</param>
    /// <param name="run">Pays.</param>
    public static object Calculate(char operation, object left, object right, Rendering run)
    {
        if (PythonNumber.Is(left) && PythonNumber.Is(right))
            return PythonNumber.Calculate(operation, left, right);
        if (operation == '%' && left is string format)
            return PercentFormat.Format(format, right, run);
        if (operation == '*' && Repeated(left, right, run) is { } repeated)
            return repeated;
        if (operation == '*' && Repeated(right, left, run) is { } swapped)
            return swapped;
        RequireDefined(left, right);
        throw new TemplateError(Unsupported(operation switch { '^' => "**", 'f' => "//", _ => operation.ToString() }, left, right));
    }

    public static object Negate(object value)
    {
        if (PythonNumber.Is(value))
            return PythonNumber.Negate(value);
        RequireDefined(value, value);
        throw new TemplateError($"bad operand type for unary -: '{PythonType.Name(value)}'");
    }

    /// <summary>&lt;0, 0 or &gt;0; null where a NaN forbids any order.</summary>
    public static int? Order(object left, object right, Rendering run, string sign = "<")
    {
        run.Step();
        if (PythonNumber.Is(left) && PythonNumber.Is(right))
            return PythonNumber.Compare(left, right);
        if (PythonText.TryGet(left, out var a) && PythonText.TryGet(right, out var b))
        {
            run.ChargeText(Math.Min(a.Length, b.Length));
            return OrderOfText(a, b);
        }
        if (left is ListValue x && right is ListValue y)
            return OrderOfItems(x.Items, y.Items, run, sign);
        if (left is TupleValue t && right is TupleValue u)
            return OrderOfItems(t.Items, u.Items, run, sign);
        RequireDefined(left, right);
        throw new TemplateError($"'{sign}' not supported between instances of '{PythonType.Name(left)}' and '{PythonType.Name(right)}'");
    }

    public static bool Contains(object container, object item, Rendering run)
    {
        if (PythonText.TryGet(container, out var text))
        {
            return PythonText.TryGet(item, out var part)
                ? run.Search(text, part) >= 0
                : throw new TemplateError($"'in <string>' requires string as left operand, not {PythonType.Name(item)}");
        }
        if (container is DictValue dict)
            return PythonEquality.IsHashable(item) ? dict.ContainsKey(run.Charged(item)) : throw new TemplateError($"unhashable type: '{PythonType.Name(item)}'");
        if (container is not (SequenceValue or Undefined))
            throw new TemplateError($"argument of type '{PythonType.Name(container)}' is not iterable");
        foreach (var candidate in Items(container, run))
        {
            run.ChargeItems(1);
            if (PythonEquality.AreEqual(candidate, item, run))
                return true;
        }
        return false;
    }

    /// <summary>What iterating over a value gives: of a dict its keys, of a string its code points.</summary>
    public static object[] Items(object value, Rendering run) => value switch
    {
        SequenceValue sequence => sequence.Items,
        Undefined => [],
        DictValue dict => Keys(dict, run),
        _ when PythonText.TryGet(value, out var text) => PythonText.Characters(text, run),
        _ => throw new TemplateError($"'{PythonType.Name(value)}' object is not iterable"),
    };

    public static int Length(object value, Rendering run) => run.Charged(value) switch
    {
        SequenceValue sequence => sequence.Items.Length,
        DictValue dict => dict.Count,
        Undefined => 0,
        _ when PythonText.TryGet(value, out var text) => PythonText.Length(text),
        _ => throw new TemplateError($"object of type '{PythonType.Name(value)}' has no len()"),
    };

    /// <exception cref="TemplateError">When either is undefined: asking anything of it is the fault.</exception>
    public static void RequireDefined(object left, object right)
    {
        if ((left as Undefined ?? right as Undefined) is { } undefined)
            throw new TemplateError(undefined.Message);
    }

    private static object[] Keys(DictValue dict, Rendering run)
    {
        run.ChargeItems(dict.Count);
        return [.. dict.Keys];
    }

    private static object[] Concatenate(object[] left, object[] right, Rendering run)
    {
        run.ChargeItems(left.Length + right.Length);
        return [.. left, .. right];
    }

    private static object? Repeated(object value, object times, Rendering run)
    {
        if (!PythonNumber.TryInteger(times, out var count))
            return null;
        count = Math.Max(count, 0);
        if (PythonText.TryGet(value, out var text))
        {
            run.ChargeText(text.Length, count);
            return new System.Text.StringBuilder(text.Length * (int)count).Insert(0, text, text.Length == 0 ? 0 : (int)count).ToString();
        }
        if (value is not SequenceValue sequence)
            return null;
        run.ChargeItems(sequence.Items.Length, count);
        object[] items = sequence.Items.Length == 0 ? [] : [.. Enumerable.Repeat(sequence.Items, (int)count).SelectMany(part => part)];
        return value is TupleValue ? new TupleValue(items) : new ListValue(items);
    }

    /// <summary>By code point, where UTF-16 would put astral characters before U+E000.</summary>
    private static int OrderOfText(string a, string b)
    {
        var length = Math.Min(a.Length, b.Length);
        var at = a.AsSpan().CommonPrefixLength(b);
        if (at == length)
            return a.Length.CompareTo(b.Length);
        return char.IsSurrogate(a[at]) == char.IsSurrogate(b[at]) ? a[at].CompareTo(b[at]) : char.IsSurrogate(a[at]) ? 1 : -1;
    }

    private static int? OrderOfItems(object[] left, object[] right, Rendering run, string sign)
    {
        System.Runtime.CompilerServices.RuntimeHelpers.EnsureSufficientExecutionStack();
        for (var i = 0; i < Math.Min(left.Length, right.Length); i++)
        {
            if (!PythonEquality.AreEqual(left[i], right[i], run))
                return Order(left[i], right[i], run, sign);
        }
        return left.Length.CompareTo(right.Length);
    }

    private static string Unsupported(string operation, object left, object right) =>
        $"unsupported operand type(s) for {operation}: '{PythonType.Name(left)}' and '{PythonType.Name(right)}'";
}
