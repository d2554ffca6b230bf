using System.Text.Json;
using FineTuneService.Training.ChatTemplates.Jinja.Values;
using FineTuneService.Training.Tokenization;

namespace FineTuneService.Training.ChatTemplates;

/// <summary>
/// Where transformers looks for a chat template: <c>chat_template.jinja</c> (with others in <c>additional_chat_templates/</c>), else <c>chat_template</c> in
/// <c>tokenizer_config.json</c>, one text or a list of named ones, else <c>chat_template.json</c>.
/// </summary>
internal static class ChatTemplateFolder
{
    private const string Default = "default";

    public static ChatTemplate? Load(string folder)
    {
        var templates = FromFiles(folder) ?? FromJson(Path.Combine(folder, "tokenizer_config.json")) ?? FromJson(Path.Combine(folder, "chat_template.json"));
        if (templates is null)
            return null;
        var tokens = SpecialTokens(folder);
        var ready = templates.ToDictionary(template => template.Key, template => template.Value.With(tokens, new Dictionary<string, ChatTemplate>()));
        var main = ready.GetValueOrDefault(Default) ?? ready.First().Value;
        ready.Remove(Default);
        return main.With(tokens, ready);
    }

    /// <summary>A text in place of the folder's templates, with the folder's special tokens.</summary>
    public static ChatTemplate With(string folder, string source, string name) => ChatTemplate.Parse(source, name).With(SpecialTokens(folder), new Dictionary<string, ChatTemplate>());

    private static Dictionary<string, ChatTemplate>? FromFiles(string folder)
    {
        var main = Path.Combine(folder, "chat_template.jinja");
        if (!File.Exists(main))
            return null;
        var templates = new Dictionary<string, ChatTemplate> { [Default] = ChatTemplate.Parse(File.ReadAllText(main), main) };
        var others = Path.Combine(folder, "additional_chat_templates");
        if (Directory.Exists(others))
        {
            foreach (var file in Directory.EnumerateFiles(others, "*.jinja").Order(StringComparer.Ordinal))
                templates.TryAdd(Path.GetFileNameWithoutExtension(file), ChatTemplate.Parse(File.ReadAllText(file), file));
        }
        return templates;
    }

    private static Dictionary<string, ChatTemplate>? FromJson(string file)
    {
        if (!File.Exists(file) || JsonSection.Load(file).Find("chat_template") is not { } section)
            return null;
        if (section.Element.ValueKind != JsonValueKind.Array)
            return new() { [Default] = Parse(section) };
        var templates = new Dictionary<string, ChatTemplate>();
        foreach (var entry in section.Items())
        {
            if (!templates.TryAdd(entry.Text("name"), Parse(entry.Get("template"))))
                throw entry.Fault("Two templates have this name.", "Keep one of them.");
        }
        return templates.Count > 0 ? templates : null;
    }

    private static ChatTemplate Parse(JsonSection section) => ChatTemplate.Parse(section.Text(), $"{section.File}#{section.Pointer}");

    /// <summary>Every member whose name ends in <c>_token</c> and that is a token: bos_token, eos_token, and a model's own such as image_token.</summary>
    private static Dictionary<string, object> SpecialTokens(string folder)
    {
        var tokens = new Dictionary<string, object>();
        foreach (var file in new[] { "tokenizer_config.json", "special_tokens_map.json" }.Select(name => Path.Combine(folder, name)).Where(File.Exists))
        {
            var root = JsonSection.Load(file);
            if (root.Element.ValueKind != JsonValueKind.Object)
                continue;
            foreach (var member in root.Element.EnumerateObject())
            {
                if (member.Name.EndsWith("_token", StringComparison.Ordinal) && root.Find(member.Name) is { } section && Content(section) is { } content)
                    tokens.TryAdd(member.Name, content);
                else if (member.Name == "additional_special_tokens" && root.Find(member.Name) is { } list)
                    tokens.TryAdd(member.Name, new ListValue([.. list.Items().Select(Content).OfType<string>()]));
            }
        }
        return tokens;
    }

    private static string? Content(JsonSection token) => token.Element.ValueKind switch
    {
        JsonValueKind.String => token.Text(),
        JsonValueKind.Object => token.Find("content")?.Text(),
        _ => null,
    };
}
