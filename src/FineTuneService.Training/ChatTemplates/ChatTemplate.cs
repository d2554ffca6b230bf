using System.Collections.Frozen;
using FineTuneService.Contracts;
using FineTuneService.Training.ChatTemplates.Jinja;
using FineTuneService.Training.ChatTemplates.Jinja.Library;
using FineTuneService.Training.ChatTemplates.Jinja.Nodes;
using FineTuneService.Training.ChatTemplates.Jinja.Syntax;
using FineTuneService.Training.ChatTemplates.Jinja.Values;

namespace FineTuneService.Training.ChatTemplates;

/// <summary>
/// A model's chat template: Jinja2 as transformers sets it up, parsed once, rendered from any thread.
/// The text comes with a model from anywhere, so it runs in a sandbox: no .NET object is in reach, and time, memory and depth are bounded.
/// </summary>
public sealed class ChatTemplate
{
    private const int LongestSource = 1 << 20;

    private readonly string _source;
    private readonly Statement[] _body;
    private readonly IReadOnlyDictionary<string, object> _specialTokens;
    private readonly IReadOnlyDictionary<string, ChatTemplate> _variants;

    private ChatTemplate(string name, string source, Statement[] body, bool marksGenerations, IReadOnlyDictionary<string, object> specialTokens, IReadOnlyDictionary<string, ChatTemplate> variants)
    {
        (Name, MarksGenerations) = (name, marksGenerations);
        (_source, _body, _specialTokens, _variants) = (source, body, specialTokens, variants);
    }

    /// <summary>File, or whatever the caller named it, for messages.</summary>
    public string Name { get; }

    /// <summary>Whether it has <c>{% generation %}</c> blocks, which tell what the assistant wrote.</summary>
    public bool MarksGenerations { get; }

    /// <summary>The other templates of the model, such as tool_use and rag.</summary>
    public IReadOnlyDictionary<string, ChatTemplate> Variants => _variants;

    /// <exception cref="FaultException">When the source is no template; names line and column.</exception>
    public static ChatTemplate Parse(string source, string name)
    {
        if (source.Length > LongestSource)
            throw new FaultException(name, null, $"The chat template has more than {LongestSource:N0} characters.", "Use a template of usual size.");
        var normalized = Lexer.Normalize(source);
        try
        {
            var body = StatementParser.Parse(normalized, out var marksGenerations);
            return new(name, normalized, body, marksGenerations, FrozenDictionary<string, object>.Empty, FrozenDictionary<string, ChatTemplate>.Empty);
        }
        catch (TemplateError error)
        {
            throw TemplateFault.At(name, normalized, error, 0);
        }
    }

    /// <summary>The template that a model's folder holds, with the model's special tokens as variables; null when it holds none.</summary>
    /// <exception cref="FaultException">When a file, or one of the templates, cannot be read.</exception>
    public static ChatTemplate? Load(string modelFolder) => ChatTemplateFolder.Load(modelFolder);

    /// <summary>The one that transformers would take: tool_use where there are tools and such a template, else this.</summary>
    public ChatTemplate For(ChatRequest request) =>
        request.Tools is { ValueKind: not System.Text.Json.JsonValueKind.Null } && _variants.TryGetValue("tool_use", out var variant) ? variant : this;

    /// <exception cref="FaultException">
    /// When the template refuses the conversation (<c>raise_exception</c>; the message is the template's own), fails on it, or exceeds the sandbox's limits; names line and column.
    /// </exception>
    public RenderedChat Render(ChatRequest request)
    {
        var (run, text) = For(request).Render(Chat.From(request), request.AddGenerationPrompt);
        return new(text, run.Generations);
    }

    internal (Rendering Run, string Text) Render(Chat chat, bool addGenerationPrompt)
    {
        var run = new Rendering(chat.Now, chat.Messages);
        var context = new Scope(Globals.Scope);
        foreach (var (name, value) in _specialTokens)
            context.Set(name, value);
        foreach (var (name, value) in chat.Variables)
            context.Set(name, value);
        context.Set("messages", chat.Messages);
        context.Set("tools", chat.Tools);
        context.Set("documents", chat.Documents);
        context.Set("add_generation_prompt", Boxed.Of(addGenerationPrompt));
        try
        {
            Statement.Execute(_body, run, context);
            return (run, run.Output.ToString());
        }
        catch (TemplateError error)
        {
            throw TemplateFault.At(Name, _source, error, run.Offset);
        }
        catch (InsufficientExecutionStackException)
        {
            throw TemplateFault.At(Name, _source, TemplateError.Limit("The template, or what it makes, is nested too deep"), run.Offset);
        }
    }

    internal ChatTemplate With(IReadOnlyDictionary<string, object> specialTokens, IReadOnlyDictionary<string, ChatTemplate> variants) =>
        new(Name, _source, _body, MarksGenerations, specialTokens, variants);
}
