namespace FineTuneService.Training.Tokenization;

/// <summary>What <c>tokenizer_config.json</c> and <c>special_tokens_map.json</c> say beside the pipeline; both may be absent.</summary>
internal sealed class TokenizerConfig
{
    // transformers writes 10^30 where a model has no limit.
    private const double NoLimit = 1e9;

    private readonly JsonSection[] _files;

    private TokenizerConfig(JsonSection[] files) => _files = files;

    public int? ModelMaxLength => Find("model_max_length")?.Real() is > 0 and < NoLimit and var length ? (int)length : null;

    public string PadSide => Find("padding_side")?.Text() ?? "right";

    public string? TokenizerClass => Find("tokenizer_class")?.Text();

    /// <summary>Tokens that the model's own files may lack, in the order of their ids.</summary>
    public IReadOnlyList<AddedToken> AddedTokens => Find("added_tokens_decoder") is not { } tokens ? [] :
    [
        .. tokens.Members()
            .Where(entry => int.TryParse(entry.Name, out _))
            .OrderBy(entry => int.Parse(entry.Name, System.Globalization.CultureInfo.InvariantCulture))
            .Select(entry => AddedToken.Read(entry.Value)),
    ];

    public static TokenizerConfig Load(string folder) => new(
    [
        .. new[] { "tokenizer_config.json", "special_tokens_map.json" }
            .Select(name => Path.Combine(folder, name))
            .Where(File.Exists)
            .Select(JsonSection.Load),
    ]);

    public bool Flag(string name, bool otherwise) => Find(name)?.Flag() ?? otherwise;

    public int Number(string name, int otherwise) => Find(name)?.Number() ?? otherwise;

    public bool? OptionalFlag(string name) => Find(name)?.Flag();

    /// <summary>The content of a special token such as <c>pad_token</c>, which may be a string or an object.</summary>
    public string? SpecialToken(string name) => Find(name) is not { } token ? null
        : token.Element.ValueKind == System.Text.Json.JsonValueKind.String ? token.Text()
        : token.Text("content");

    /// <summary>Whether a file speaks of it at all, if only to say null.</summary>
    public bool Mentions(string name) => _files.Any(file => file.Element.TryGetProperty(name, out _));

    private JsonSection? Find(string name) => _files.Select(file => file.Find(name)).FirstOrDefault(member => member is not null);
}
