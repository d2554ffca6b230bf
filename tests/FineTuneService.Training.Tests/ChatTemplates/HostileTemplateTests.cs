using System.Diagnostics;
using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training.ChatTemplates;

namespace FineTuneService.Training.Tests.ChatTemplates;

/// <summary>Templates come with models from anywhere. None of these may take long, take the machine's memory, or reach anything of .NET.</summary>
public sealed class HostileTemplateTests
{
    private const string Grow = "{% set ns = namespace(x=START) %}{% for i in range(TIMES) %}{% set ns.x = STEP %}{% endfor %}";

    private static readonly Dictionary<string, string> Greedy = new()
    {
        ["a loop in a loop"] = "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
        ["work in a loop"] = "{% for i in range(100000) %}{% for j in range(100000) %}{% set x = (i + j) * 2 % 7 %}{% endfor %}{% endfor %}",
        ["much output"] = "{% for i in range(100000) %}" + new string('x', 10_000) + "{% endfor %}",
        ["a captured output"] = "{% set x %}{% for i in range(100000) %}" + new string('x', 10_000) + "{% endfor %}{% endset %}",
        ["digits beyond counting"] = "{{ '%o' % 99999999999999999999 }}",
        ["a caller of its own"] = "{% macro f() %}{{ caller() }}{% endmacro %}{% call f(caller=1) %}{% endcall %}",
        ["a long range"] = "{% for i in range(10 ** 9) %}{% endfor %}",
        ["ranges without end"] = "{% for i in range(-9223372036854775807, 9223372036854775807) %}{% endfor %}",
        ["a repeated string"] = "{{ 'x' * 10 ** 9 }}",
        ["a string repeated beyond counting"] = "{{ ('x' * 1000) * 9223372036854775807 }}",
        ["a repeated list"] = "{{ [0] * 10 ** 9 }}",
        ["a doubling string"] = Template("'x'", 64, "ns.x + ns.x") + "{{ ns.x }}",
        ["a doubling list"] = Template("[0]", 64, "ns.x + ns.x"),
        ["a doubling join"] = Template("'x'", 64, "[ns.x, ns.x]|join(ns.x)"),
        ["a doubling tilde"] = Template("'x'", 64, "ns.x ~ ns.x"),
        ["replacing by much"] = "{{ ('x' * 10 ** 6)|replace('x', 'x' * 10 ** 6) }}",
        ["replacing nothing by much"] = "{{ ('x' * 10 ** 6).replace('', 'x' * 10 ** 6) }}",
        ["indenting by much"] = "{{ ('x\n' * 10 ** 6)|indent('x' * 10 ** 6) }}",
        ["splitting into much"] = "{% for i in range(100) %}{{ ('x,' * 10 ** 6).split(',')|length }}{{ ('x ' * 10 ** 6).split()|length }}{% endfor %}",
        ["lists of characters"] = "{% for i in range(100000) %}{% for c in 'x' * 10 ** 5 %}{% break %}{% endfor %}{% endfor %}",
        ["a wide percent format"] = "{{ '%1000000000d' % 1 }}",
        ["a wide percent format from a value"] = "{{ '%*d' % (10 ** 9, 1) }}",
        ["a wide brace format"] = "{{ '{:1000000000}'.format(1) }}",
        ["a centred string"] = "{{ 'x'.center(10 ** 9) }}",
        ["many zeros"] = "{{ '1'.zfill(10 ** 9) }}",
        ["a wide indent"] = "{{ 'x'|indent(10 ** 9) }}",
        ["a wide batch"] = "{{ [1]|batch(10 ** 9, 0) }}",
        ["a power"] = "{{ 2 ** 10 ** 18 }}",
        ["a macro that calls itself"] = "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        ["macros that call each other"] = "{% macro f(x) %}{{ g(x) }}{% endmacro %}{% macro g(x) %}{% call f(x) %}{% endcall %}{% endmacro %}{{ f(1) }}",
        ["a macro that branches"] = "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(100) }}",
        ["printing a tree of shared branches"] = Template("[]", 64, "[ns.x, ns.x]") + "{{ ns.x }}",
        ["tojson of shared branches"] = Template("[]", 64, "[ns.x, ns.x]") + "{{ ns.x|tojson }}",
        ["comparing shared branches"] = Template("[]", 64, "[ns.x, ns.x]") + Template("[]", 64, "[ns.x, ns.x]").Replace("ns", "mm", StringComparison.Ordinal) + "{{ ns.x == mm.x }}",
        ["ordering shared branches"] = Template("[1]", 64, "[ns.x, ns.x]") + Template("[1]", 64, "[ns.x, ns.x]").Replace("ns", "mm", StringComparison.Ordinal) + "{{ ns.x < mm.x }}",
        ["printing something deep"] = Template("[]", 100_000, "[ns.x]") + "{{ ns.x }}",
        ["tojson of something deep"] = Template("[]", 100_000, "[ns.x]") + "{{ ns.x|tojson }}",
        ["comparing something deep"] = Template("[]", 100_000, "[ns.x]") + Template("[]", 100_000, "[ns.x]").Replace("ns", "mm", StringComparison.Ordinal) + "{{ ns.x == mm.x }}",
        ["searching what nearly fits"] = "{% set a = 'a' * 10 ** 6 %}{% for i in range(1000) %}{{ ('a' * 400000 + 'b' + 'a' * 10) in a }}{% endfor %}",
        ["counting what nearly fits"] = "{% set a = 'a' * 10 ** 6 %}{% for i in range(1000) %}{{ a.count('a' * 400000 + 'b' + 'a' * 10) }}{{ a.rfind('b' + 'a' * 400000) }}{% endfor %}",
        ["measuring a long string often"] = "{% set a = 'a' * 10 ** 6 %}{% for i in range(100000) %}{% if a|length %}{% endif %}{% endfor %}",
        ["comparing long strings often"] = "{% set a = 'a' * 10 ** 6 %}{% set b = 'a' * 10 ** 6 %}{% for i in range(100000) %}{% if a == b %}{% endif %}{% endfor %}",
        ["ordering long strings often"] = "{% set a = 'a' * 10 ** 6 %}{% set b = 'a' * 10 ** 6 %}{% for i in range(100000) %}{% if a < b %}{% endif %}{% endfor %}",
        ["looking up a long key often"] = "{% set a = 'a' * 10 ** 6 %}{% set d = {a: 1} %}{% for i in range(100000) %}{% if d[a] %}{% endif %}{% endfor %}",
        ["getting a long key often"] = "{% set a = 'a' * 10 ** 6 %}{% set d = {a: 1} %}{% for i in range(100000) %}{% if d.get(a) and a in d %}{% endif %}{% endfor %}",
        ["indexing a long string often"] = "{% set a = '😀' * 10 ** 6 %}{% for i in range(100000) %}{% if a[-1] %}{% endif %}{% endfor %}",
        ["stripping a long string often"] = "{% set a = ' ' * 10 ** 6 %}{% for i in range(100000) %}{% if a|trim %}{% endif %}{% endfor %}",
        ["sorting often"] = "{% for i in range(100000) %}{% if range(100000)|sort %}{% endif %}{% endfor %}",
        ["searching a list often"] = "{% set l = range(100000) %}{% for i in range(100000) %}{% if -1 in l %}{% endif %}{% endfor %}",
        ["a list by a path"] = "{% for i in range(1000) %}{{ [1]|map(attribute='real.' * 10 ** 6, default=1)|list }}{% endfor %}",
    };

    private static readonly Dictionary<string, string> Deep = new()
    {
        ["brackets"] = "{{ " + new string('(', 100_000),
        ["lists"] = "{{ " + new string('[', 100_000),
        ["negations"] = "{{ " + string.Concat(Enumerable.Repeat("not ", 100_000)) + "x }}",
        ["signs"] = "{{ " + string.Concat(Enumerable.Repeat("- ", 100_000)) + "1 }}",
        ["sums"] = "{{ 1" + string.Concat(Enumerable.Repeat(" + 1", 200_000)) + " }}",
        ["filters"] = "{{ 1" + string.Concat(Enumerable.Repeat("|trim", 100_000)) + " }}",
        ["members"] = "{{ messages" + string.Concat(Enumerable.Repeat("[0:]", 100_000)) + " }}",
        ["conditions"] = "{{ 1" + string.Concat(Enumerable.Repeat(" if 1 else 1", 60_000)) + " }}",
        ["blocks"] = string.Concat(Enumerable.Repeat("{% if 1 %}", 100_000)),
        ["elifs"] = "{% if 0 %}" + string.Concat(Enumerable.Repeat("{% elif 0 %}", 80_000)) + "{% endif %}",
        ["filter chains"] = "{% filter trim" + string.Concat(Enumerable.Repeat("|trim", 100_000)) + " %}{% endfilter %}",
        ["length"] = new string('x', 2_000_000),
    };

    public static TheoryData<string> GreedyOnes => [.. Greedy.Keys];

    public static TheoryData<string> DeepOnes => [.. Deep.Keys];

    [Theory]
    [MemberData(nameof(GreedyOnes))]
    public void Wanting_too_much_ends_in_a_fault(string what) => EndsSoon(what, Greedy[what]);

    [Theory]
    [MemberData(nameof(DeepOnes))]
    public void Nesting_too_deep_ends_in_a_fault(string what) => EndsSoon(what, Deep[what]);

    [Theory]
    [InlineData("{{ messages.append(1) }}", "access to attribute 'append' of 'list' object is unsafe.")]
    [InlineData("{{ messages.sort() }}", "access to attribute 'sort' of 'list' object is unsafe.")]
    [InlineData("{{ messages[0].update({'role': 'system'}) }}", "access to attribute 'update' of 'dict' object is unsafe.")]
    [InlineData("{{ messages[0].pop('role') }}", "access to attribute 'pop' of 'dict' object is unsafe.")]
    [InlineData("{{ ''.__class__.__mro__ }}", "access to attribute '__class__' of 'str' object is unsafe.")]
    [InlineData("{{ messages.GetType() }}", "'list object' has no attribute 'GetType'")]
    [InlineData("{{ messages.Items[0] }}", "'list object' has no attribute 'Items'")]
    [InlineData("{{ messages[0].Keys.Count }}", "'dict object' has no attribute 'Keys'")]
    [InlineData("{{ namespace.Call() }}", "'function object' has no attribute 'Call'")]
    [InlineData("{{ loop.x.y }}", "'loop' is undefined")]
    [InlineData("{% set messages.x = 1 %}", "cannot assign attribute on non-namespace object")]
    public void Nothing_is_changed_and_nothing_of_dotnet_is_in_reach(string template, string message) =>
        Assert.Equal(message, Fault(template).Message);

    [Fact]
    public void Damaged_templates_render_or_end_in_a_fault()
    {
        string[] pieces = ["{{", "}}", "{%", "%}", "{#", "-", "|", "(", ")", "[", "]", "'", " if ", " else ", " for ", "%}{% endfor %}", ".", ":", " is ", " not ", "|tojson", "|join", "[::-1]", "99999999999", "~", "+", "*", " none ", "{% break %}"];
        var random = new Random(7);
        var (rendered, refused) = (0, 0);
        foreach (var golden in GoldenTemplates.Names.Select(GoldenTemplates.Read))
        {
            var requests = golden.Cases.Select(golden.Request).ToArray();
            for (var i = 0; i < 40; i++)
            {
                var source = golden.Source;
                for (var changes = random.Next(1, 4); changes > 0; changes--)
                {
                    var at = random.Next(source.Length);
                    source = random.Next(3) switch
                    {
                        0 => source.Remove(at, Math.Min(random.Next(1, 12), source.Length - at)),
                        1 => source.Insert(at, pieces[random.Next(pieces.Length)]),
                        _ => source.Insert(random.Next(source.Length), source.Substring(at, Math.Min(random.Next(1, 30), source.Length - at))),
                    };
                }
                try
                {
                    ChatTemplate.Parse(source, "damaged").Render(requests[random.Next(requests.Length)]);
                    rendered++;
                }
                catch (FaultException)
                {
                    refused++;
                }
            }
        }
        Assert.True(rendered > 200 && refused > 200, $"{rendered} rendered, {refused} refused");
    }

    private static void EndsSoon(string what, string template)
    {
        var watch = Stopwatch.StartNew();
        var fault = Fault(template);
        // A tenth of that on an idle machine.
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(5), $"{what}: {watch.Elapsed}");
        Assert.NotEmpty(fault.Message);
    }

    private static Fault Fault(string template) => Assert.Single(Assert.Throws<FaultException>(() =>
        ChatTemplate.Parse(template, "hostile").Render(new(JsonDocument.Parse("""[{ "role": "user", "content": "Hi" }]""").RootElement))).Faults);

    private static string Template(string start, int times, string step) =>
        Grow.Replace("START", start, StringComparison.Ordinal).Replace("TIMES", $"{times}", StringComparison.Ordinal).Replace("STEP", step, StringComparison.Ordinal);
}
