using System.Numerics;
using FineTuneService.Training.ChatTemplates.Jinja.Nodes;
using FineTuneService.Training.ChatTemplates.Jinja.Values;

namespace FineTuneService.Training.ChatTemplates.Jinja.Library;

/// <summary>Jinja2's tests: what may follow <c>is</c>.</summary>
internal static class Tests
{
    public static IReadOnlyDictionary<string, Routine> All { get; } = Build();

    private static RoutineTable Build()
    {
        var tests = new RoutineTable();
        Is("defined", value => value is not Undefined);
        Is("undefined", value => value is Undefined);
        Is("none", value => value is None);
        Is("boolean", value => value is bool);
        Is("true", value => value is true);
        Is("false", value => value is false);
        Is("integer", value => value is long or BigInteger);
        Is("float", value => value is double);
        Is("number", PythonNumber.Is);
        Is("string", value => value is string or Markup);
        Is("mapping", value => value is DictValue);
        Is("sequence", value => value is string or Markup or SequenceValue or DictValue or Undefined);
        Is("iterable", value => value is string or Markup or SequenceValue or DictValue or Undefined);
        Is("callable", value => value is Callable or Undefined);
        Is("escaped", value => value is Markup);
        Is("odd", value => PythonOperators.IsTrue(PythonNumber.Calculate('%', Number(value), Boxed.Of(2))));
        Is("even", value => !PythonOperators.IsTrue(PythonNumber.Calculate('%', Number(value), Boxed.Of(2))));
        tests.Add("lower", (run, value) => Boxed.Of(StringMethods.IsCased(PythonText.Str(value, run), char.IsLower, char.IsUpper)));
        tests.Add("upper", (run, value) => Boxed.Of(StringMethods.IsCased(PythonText.Str(value, run), char.IsUpper, char.IsLower)));
        tests.Add("divisibleby", "num", 1, (_, value, given) => Boxed.Of(!PythonOperators.IsTrue(PythonNumber.Calculate('%', Number(value), Number(given[0]!)))));
        tests.Add("sameas", "other", 1, (_, value, given) => Boxed.Of(ReferenceEquals(value, given[0]) || value is bool or string or long && value.Equals(given[0])));
        tests.Add("filter", (_, value) => Boxed.Of(value is string name && Filters.All.ContainsKey(name)));
        tests.Add("test", (_, value) => Boxed.Of(value is string name && All!.ContainsKey(name)));
        foreach (var (names, sign) in new[] { ("eq equalto ==", "=="), ("ne !=", "!="), ("lt lessthan <", "<"), ("le <=", "<="), ("gt greaterthan >", ">"), ("ge >=", ">="), ("in", "in") })
        {
            foreach (var name in names.Split(' '))
                tests.Add(name, "other", 1, (run, value, given) => Boxed.Of(Comparison.Holds(sign, value, given[0]!, run)));
        }
        return tests;

        void Is(string name, Func<object, bool> holds) => tests.Add(name, (_, value) => Boxed.Of(holds(value)));
    }

    private static object Number(object value)
    {
        PythonOperators.RequireDefined(value, value);
        return PythonNumber.Is(value) ? value : throw new TemplateError($"a number is expected, not '{PythonType.Name(value)}'");
    }
}
